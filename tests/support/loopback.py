"""A server for a notebook's kernel, on loopback, that ends with it.

python tests/support/loopback.py kaggle|microsoft FOLDER VARIABLES

kaggle: a small Kaggle with the competition's files in FOLDER (train.zip, test.zip,
sample_submission.csv, answers.json); it keeps what it receives in FOLDER/received. microsoft: a web
server with the zip in FOLDER. The variables that a kernel needs are written to the file VARIABLES.
"""

import functools
import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.kaggle.competitions import REDUX
from dogs_vs_cats.rehearsal.book import HostedCompetition
from dogs_vs_cats.rehearsal.small_kaggle import SmallKaggle

SECRETS = ("KAGGLE_USERNAME", "KAGGLE_KEY")


@contextmanager
def kaggle(folder: Path) -> Iterator[dict[str, str]]:
    """Serve Redux; yield the variables, the credentials as secrets of Colab."""
    names = "train.zip", "test.zip", "sample_submission.csv"
    answers = json.loads((folder / "answers.json").read_text())
    hosted = HostedCompetition(REDUX, "log_loss", {name: folder / name for name in names}, answers)
    with SmallKaggle(hosted, folder / "received") as server:
        variables = server.environment(folder / "home")
        secrets = {name: variables.pop(name) for name in SECRETS}
        yield variables | {"COLAB_SECRETS": json.dumps(secrets)}


@contextmanager
def microsoft(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the folder; yield the address of its zip."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (path,) = folder.glob("*.zip")
    yield {"MICROSOFT_URL": f"http://127.0.0.1:{server.server_port}/{path.name}"}


def main(kind: str, folder: str, variables: str) -> None:
    kernel = os.getppid()
    with {"kaggle": kaggle, "microsoft": microsoft}[kind](Path(folder)) as exported:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in exported.items()]
        files.write_text(Path(variables), "".join(lines))
        while os.getppid() == kernel:
            time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
