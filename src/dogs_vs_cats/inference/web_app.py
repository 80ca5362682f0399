"""Desk: a page on this machine where photos are dropped and answered.

Flask and waitress, on the loopback address alone. What is uploaded stays in memory; the page asks
no other host for anything. Photos are answered one at a time.
"""

import base64
import io
import json
import logging
import re
import secrets
import socket
import threading
from dataclasses import dataclass, field
from itertools import islice

from dogs_vs_cats.analysis import grad_cam
from dogs_vs_cats.analysis.grad_cam import Heatmaps
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.inference import predictor
from dogs_vs_cats.inference.predictor import Predictor, Upload
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling.opinion_pool import Pool
from dogs_vs_cats.workspace import Workspace

HOST = "127.0.0.1"
LIMIT = 30_000_000  # bytes of a photo
PIXELS = 50_000_000  # of a photo: more than cameras take; decoded, up to 1.2 GB (WebP, JPEG 2000)
SCANS = 100  # of a JPEG, as libtiff and GDAL have it; a progressive one has about 10
# How a scan begins: the marker, the length of its header, and what that is for, 0 to 4 components.
SCAN = re.compile(rb"\xff\xda\x00(?:\x06\x00|\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
SHOWN = 800  # pixels: the longer side of what the page shows
# Connections held at once, each with up to LIMIT bytes; those beyond wait to be accepted.
CONNECTIONS = 32
SENTENCES = {
    403: "This page answers only itself, at 127.0.0.1 or localhost.",
    404: "There is nothing here: the page is at /.",
    405: "A photo is sent with POST; the page is at /.",
    413: f"This is more than {LIMIT // 10**6} MB: choose a smaller photo.",
    500: "This went wrong on our side; the terminal says how.",
}


@dataclass(frozen=True)
class Desk:
    """A predictor and the heat maps of one recipe. about: what the page says of them."""

    about: dict
    predictor: Predictor
    heatmaps: Heatmaps
    size: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, data: bytes) -> dict:
        """Return what is said of a photo's bytes, ready for JSON; PhotoError if it can't be read.

        class: the most probable; classes: name and p of each, in their order; photo, heat: data
        URLs of the photo as it was understood, and of where it speaks for the class.
        """
        _refuse_many_scans(data)
        photo = Upload("the photo", data)
        with self.lock:
            image = pixels.upright(data, PIXELS)
            image.thumbnail((SHOWN, SHOWN))  # now: the whole is decoded again below
            (found,) = self.predictor.predict([photo])
            if found.probabilities is None:
                raise PhotoError(found.problem)
            first = int(found.probabilities.argmax())
            (heat,) = self.heatmaps.of(pixels.pixels(photo, self.size)[None], [first])
            laid_over = grad_cam.overlay(image, heat)
        names = self.about["classes"]
        pairs = zip(names, found.probabilities.tolist(), strict=True)
        return {
            "class": names[first],
            "classes": [{"name": name, "p": p} for name, p in pairs],
            "photo": _url(image),
            "heat": _url(laid_over),
        }


def _refuse_many_scans(data: bytes) -> None:
    """Raise PhotoError if a JPEG's bytes hold more than SCANS scans; nothing is decoded.

    Each goes over all pixels again and may be 75 bytes: a file within LIMIT would be decoded for
    hours ("Two Issues with the JPEG Standard", libjpeg-turbo.org). All heads of scans are counted,
    those of thumbnails too. A scan's own data hold none: there ff comes before 00 or a restart.
    """
    if data.startswith(b"\xff\xd8\xff"):  # as Pillow knows a JPEG
        found = sum(1 for _ in islice(SCAN.finditer(data), SCANS + 1))
        if found > SCANS:
            raise PhotoError(f"more than {SCANS} scans, which would take too long")


def load(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> Desk:
    """Return a desk with the heads in models/ as they are, its networks warmed up.

    The heat map of a blend is that of its member of the largest weight.
    """
    asked = predictor.load(workspace, recipe, engine, threads, at_once=1)
    first, *_ = members(recipe)
    if isinstance(asked.heads.last, Pool):
        weights = asked.heads.last.weights
        first = max(members(recipe), key=lambda member: weights[member.name])
    about = {
        "dataset": workspace.dataset,
        "recipe": recipe.name,
        "about": recipe.about,
        "member": first.name if isinstance(recipe, Blend) else "",
        "classes": [legible(name) for name in asked.classes],
        "limit": LIMIT,
    }
    desk = Desk(about, asked, grad_cam.load(workspace, first, engine, threads), first.features.size)
    desk.answer(_blank())
    return desk


def _blank() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


def _url(image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def app(desk: Desk):
    """Return the Flask application: the page at /, and /answer, which takes a photo's bytes.

    What can't be answered is a status of 4xx and {"problem": one sentence}.
    """
    import flask
    from werkzeug.exceptions import HTTPException

    app = flask.Flask(__name__, template_folder=".", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LIMIT

    @app.before_request
    def from_here_alone() -> None:
        # Another site's page, by a name that it lets point to this machine, or by a form.
        host = flask.request.host.partition(":")[0]
        origin = flask.request.headers.get("Origin", f"http://{flask.request.host}")
        if host not in (HOST, "localhost") or origin != f"http://{flask.request.host}":
            flask.abort(403)

    @app.get("/")
    def page():
        nonce = secrets.token_urlsafe(16)
        response = flask.make_response(flask.render_template("try.html", nonce=nonce, **desk.about))
        # Only what is written in the page runs, and it reaches nobody but us.
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        return response

    @app.post("/answer")
    def answer():
        data = flask.request.get_data(cache=False)
        if not data:
            return {"problem": "There is no photo in this: choose one."}, 400
        try:
            return desk.answer(data)
        except PhotoError as error:
            return {"problem": f"This photo can't be read: {error}."}, 422

    @app.errorhandler(HTTPException)
    def refused(error):
        return {"problem": SENTENCES.get(error.code, error.description)}, error.code

    @app.after_request
    def kept_nowhere(response):
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


def listening(port: int) -> socket.socket:
    """Return a socket bound to a port of the loopback address; 0 lets the system choose one.

    UserError if another program has it, or it is not for us to take.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
        # Two may bind, only one can listen; nobody is answered before `server`.
        found.listen()
    except OSError as error:
        found.close()
        raise UserError(
            f"Expected port {port} of this machine to be free. Received: {error.strerror}. "
            "Run `make try PORT=0`, which takes any that is, or name another."
        ) from error
    return found


def server(desk: Desk, listener: socket.socket):
    """Return a waitress server of the page; `run()` serves until Ctrl-C."""
    from waitress import create_server
    from waitress.channel import HTTPChannel
    from waitress.task import ErrorTask

    class Refusal(ErrorTask):
        """What waitress refuses without asking us, such as a body that is announced too large."""

        def execute(self) -> None:
            error = self.request.error
            sentence = SENTENCES.get(error.code, f"{error.reason}: {error.body}.")
            body = json.dumps({"problem": sentence}).encode()
            self.status = f"{error.code} {error.reason}"
            self.response_headers.append(("Content-Type", "application/json"))
            self.set_close_on_finish()
            self.content_length = len(body)
            self.write(body)

    class Channel(HTTPChannel):
        error_task_class = Refusal

    # It warns of requests that wait for a thread: here they always may.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    made = create_server(
        app(desk),
        sockets=[listener],
        threads=4,
        connection_limit=CONNECTIONS,
        max_request_body_size=LIMIT + 1,
        # What exceeds these goes to temporary files: nothing does.
        inbuf_overflow=2 * LIMIT,
        outbuf_overflow=2 * LIMIT,
        ident=None,
    )
    made.channel_class = Channel
    return made
