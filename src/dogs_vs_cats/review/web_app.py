"""The web app of a review: the page, its photos, and the decisions it sends."""

import io
from typing import Any

from dogs_vs_cats import local_server
from dogs_vs_cats.config.recipes import Blend
from dogs_vs_cats.data import remote
from dogs_vs_cats.data.verdict_writer import EditedMeanwhileError
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.legible import legible
from dogs_vs_cats.report.thumbnails import thumbnail
from dogs_vs_cats.review.session import ReviewSession

LIMIT = 100_000  # bytes of a request: a decision
SIDES = {"large": 1400, "small": 240}  # pixels: the longer side of a photo on the page
SENTENCES = {
    405: "Decisions are sent with POST. The page is at /.",
    413: "This is too much for a decision.",
}


def app(session: ReviewSession) -> Any:
    """Return the Flask application: the page at /, what it shows, /decide and /undo.

    What is refused gets {"problem": one sentence} and a status of 4xx, 409 where the file has
    changed since; 507 if it can't be written, 503 if a file can't be read.
    """
    import flask

    app = local_server.application(__name__, LIMIT, SENTENCES)
    paths = dict(zip(session.table["sha256"], session.table["path"], strict=True))

    @app.get("/")
    def page() -> Any:
        recipe = session.recipe
        return local_server.rendered(
            "review.html",
            dataset=session.workspace.dataset,
            recipe=recipe.name,
            several=isinstance(recipe, Blend),
            space=session.space.recipe if session.space else "",
            path=str(session.workspace.verdicts),
        )

    @app.get("/review")
    def review() -> Any:
        return session.page() | session.state()

    @app.get("/state")
    def state() -> Any:
        return session.state()

    @app.get("/around/<int:number>")
    def around(number: int) -> Any:
        if number >= len(session.issues):
            flask.abort(404)
        return session.around(number)

    @app.get("/effects")
    def effects() -> Any:
        return session.effects()

    @app.get("/photo/<size>/<sha256>")
    def photo(size: str, sha256: str) -> Any:
        if size not in SIDES or sha256 not in paths:
            flask.abort(404)
        image = thumbnail(remote.photo(paths[sha256]), sha256, SIDES[size])
        data = io.BytesIO()
        image.save(data, "JPEG", quality=88)
        return flask.Response(data.getvalue(), mimetype="image/jpeg")

    @app.post("/decide")
    def decide() -> Any:
        asked = _texts(flask.request.get_json(), "photo", "verdict", "digest")
        return session.decide(*asked)

    @app.post("/undo")
    def undo() -> Any:
        return session.undo(*_texts(flask.request.get_json(), "digest"))

    @app.errorhandler(UserError)
    def refused(error: UserError) -> Any:
        return {"problem": legible(str(error))}, 409 if isinstance(
            error, EditedMeanwhileError
        ) else 400

    @app.errorhandler(PhotoError)
    def not_shown(error: PhotoError) -> Any:
        return {"problem": f"This photo can't be shown: {error}."}, 404

    @app.errorhandler(OSError)
    def not_used(error: OSError) -> Any:
        problem = f"Can't use {error.filename or 'a file'}: {error.strerror or error}."
        if flask.request.method == "GET":
            return {"problem": problem}, 503
        problem += " Nothing was changed. Free some space, or look at the file, and try again."
        return {"problem": problem}, 507

    return app


def _texts(asked: Any, *names: str) -> list[str]:
    """Return the texts of a request; UserError if one is missing."""
    if not isinstance(asked, dict) or not all(isinstance(asked.get(name), str) for name in names):
        raise UserError(f"A request needs the texts {', '.join(names)}.")
    return [asked[name] for name in names]
