"""The web app: a page where trained recipes predict the photos dropped on it.

Uploads stay in memory. Photos are predicted one at a time; a recipe is loaded when it is chosen.
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

from dogs_vs_cats import local_server
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.inference.corrections import Corrections
from dogs_vs_cats.inference.explained import ExplainedPredictor
from dogs_vs_cats.legible import legible, listed
from dogs_vs_cats.modeling import unlikeness
from dogs_vs_cats.workspace import Workspace

LIMIT = 30_000_000  # bytes of a photo
LOADED = 3  # recipes in memory: those used last
SENTENCES = {
    403: "Only the page itself, at 127.0.0.1 or localhost, may ask for predictions.",
    405: "Send a photo with POST. The page is at /.",
    413: f"This is more than {LIMIT // 10**6} MB. Choose a smaller photo.",
}


class Models:
    """The recipes to choose from, loaded when they are first asked. The first is the default.

    recipes: name -> recipe. load: what loads one; UserError if it can't be loaded any more.
    """

    def __init__(
        self,
        recipes: dict[str, Recipe | Blend],
        load: Callable[[Recipe | Blend], ExplainedPredictor],
    ) -> None:
        self.recipes, self._load = recipes, load
        self._loaded: dict[str, ExplainedPredictor] = {}  # the one used last is last
        self._lock = threading.Lock()

    def predict(self, name: str, data: bytes) -> dict[str, Any]:
        """Return a recipe's prediction of a photo's bytes, as ExplainedPredictor.predict does."""
        with self._lock:
            return self._model(name).predict(data)

    def start(self) -> None:
        """Load the default, so that its first answer comes at once."""
        with self._lock:
            self._model(next(iter(self.recipes)))

    def _model(self, name: str) -> ExplainedPredictor:
        model = self._loaded.pop(name, None)
        if model is None:
            while len(self._loaded) >= LOADED:
                self._loaded.pop(next(iter(self._loaded)))
            model = self._load(self.recipes[name])
        self._loaded[name] = model
        return model


def app(
    workspace: Workspace,
    classes: list[str],
    models: Models,
    corrections: Corrections,
    token: str = "",
) -> Any:
    """Return the Flask application: the page at /, and /predict, which takes a photo's bytes.

    /predict?recipe=NAME asks another recipe than the default. token: what every request must have,
    if any. What is refused gets a status of 4xx and {"problem": one sentence}.
    """
    import flask

    app = local_server.application(__name__, LIMIT, SENTENCES, token)
    page: dict[str, Any] = {
        "dataset": workspace.dataset,
        "recipes": [{"name": x.name, "about": x.about} for x in models.recipes.values()],
        "classes": [legible(name) for name in classes],
        "known": listed(classes),
        "usual": f"{1 - unlikeness.MARKED:.0%}",
        "verdicts": str(workspace.verdicts),
        "limit": LIMIT,
    }

    @app.get("/")
    def shown() -> Any:
        return local_server.rendered("try.html", **page)

    @app.post("/predict")
    def predict() -> Any:
        recipe = flask.request.args.get("recipe", next(iter(models.recipes)))
        if recipe not in models.recipes:
            names = ", ".join(models.recipes)
            return {"problem": f"There is no recipe {recipe!r} to choose here, only {names}."}, 400
        data = flask.request.get_data(cache=False)
        if not data:
            return {"problem": "There is no photo in this request. Choose one."}, 400
        try:
            answer = models.predict(recipe, data)
        except PhotoError as error:
            return {"problem": f"This photo can't be read: {error}."}, 422
        except UserError as error:
            return {"problem": str(error)}, 409
        photo = corrections.of(data)
        return {"recipe": recipe, **answer, "training": photo and dataclasses.asdict(photo)}

    return app
