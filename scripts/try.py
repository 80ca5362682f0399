"""Serve a page on this machine where trained recipes predict the photos dropped on it."""

from dogs_vs_cats import console, environment, local_server, progress
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.workspace import current_workspace

PORT = 8017


def main() -> None:
    parser = console.arguments(__doc__)
    free = f"0 takes any free one (default: {PORT})"
    parser.add_argument("--port", type=console.port, default=PORT, help=free)
    network = "this machine's address in a network that may ask too, with a token"
    parser.add_argument("--host", type=console.host, default=local_server.HOST, help=network)
    parser.add_argument("--check", action="store_true", help="only say whether the port is free")
    args = parser.parse_args()
    if args.check:
        local_server.listening(args.port, "make try", args.host).close()
        return
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    environment.versions("flask", "waitress", setup="make setup EXTRAS=try")
    blend.require(workspace, recipe, engine, args.recipe)

    from dogs_vs_cats.data import photos
    from dogs_vs_cats.inference import choices, explained, web_app
    from dogs_vs_cats.inference.corrections import Corrections

    def load(chosen: Recipe | Blend) -> explained.ExplainedPredictor:
        blend.require(workspace, chosen, engine, chosen.name)
        progress.say(f"try: {workspace.dataset}, {chosen.name}: loading")
        return explained.load(workspace, chosen, engine, args.threads)

    with local_server.listening(args.port, "make try", args.host) as listener:
        models = web_app.Models({recipe.name: recipe} | choices.trained(workspace, engine), load)
        models.start()
        token = local_server.new_token(args.host)
        corrections = Corrections(workspace)
        app = web_app.app(workspace, photos.read_classes(workspace), models, corrections, token)
        if token:
            progress.say("try: who has this address, with its token, may ask; nothing is encrypted")
        local_server.serve(app, listener, "try", token)


if __name__ == "__main__":
    console.run(main, speaks=False)
