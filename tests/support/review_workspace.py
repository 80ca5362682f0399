"""A workspace with planted label issues: ten flipped labels, one of them of a near-duplicate."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dogs_vs_cats.review.session import ReviewSession
from support.commands import LOGISTIC, run_all
from support.pictures import shape, write

EACH = 40
# Photo -> its true class; the label is the other one.
FLIPPED = {f"disc.{n}": "square" for n in (3, 11, 19, 27, 35)}
FLIPPED |= {f"square.{n}": "disc" for n in (5, 13, 21, 29, 37)}
TWIN = "square.100"  # the same picture as disc.3, labelled as it is
FRESH = 1000  # flipped photos are pictures that are there once


def review_workspace(folder: Path) -> None:
    """Train two recipes on discs and squares of which ten are labelled as the other."""
    photos = folder / "source" / "train"
    photos.mkdir(parents=True)
    for label in "disc", "square":
        for number in range(EACH):
            photo = f"{label}.{number}"
            image = (
                shape(FLIPPED[photo], FRESH + number) if photo in FLIPPED else shape(label, number)
            )
            image.save(photos / f"{photo}.jpg", quality=95)
    shape("square", FRESH + 3).save(photos / f"{TWIN}.jpg", quality=60)
    write(folder / "source" / "test" / "1.jpg", 1)  # with none, a tenth would be set aside
    (folder / "tiny.toml").write_text(LOGISTIC)
    (folder / "other.toml").write_text(LOGISTIC.replace('"avgmax"', '"avg"'))
    both = "tiny.toml other.toml"
    run_all(
        folder,
        ("data", "--source", "source"),
        ("features", "--recipe", both),
        ("train", "--recipe", "tiny.toml"),
        ("train", "--recipe", "other.toml"),
    )


@contextmanager
def served(review: ReviewSession) -> Iterator[str]:
    """Serve a review while the block runs; yield its address.

    By werkzeug, which ends at once; test_review.py has the server of the script.
    """
    from werkzeug.serving import make_server

    from dogs_vs_cats.review import web_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, web_app.app(review), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
