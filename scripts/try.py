"""Serve a page on this machine where a trained recipe predicts the photos dropped on it."""

from dogs_vs_cats import console, environment, local_server, progress, stopping
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.workspace import current_workspace

PORT = 8017


def main() -> None:
    parser = console.arguments(__doc__)
    free = f"0 takes any free one (default: {PORT})"
    parser.add_argument("--port", type=console.port, default=PORT, help=free)
    parser.add_argument("--check", action="store_true", help="only say whether the port is free")
    args = parser.parse_args()
    if args.check:
        local_server.listening(args.port, "make try").close()
        return
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    environment.versions("flask", "waitress", setup="make setup EXTRAS=try")
    blend.require(workspace, recipe, engine, args.recipe)

    from dogs_vs_cats.inference import web_app

    with local_server.listening(args.port, "make try") as listener:
        progress.say(f"try: {workspace.dataset}, {recipe.name}: loading")
        model = web_app.load(workspace, recipe, engine, args.threads)
        server = local_server.server(web_app.app(model), listener)
        progress.say(f"try: ready at {local_server.address(listener)} (Ctrl-C ends it)")
        with stopping.answered(""):
            server.run()  # it ends on Ctrl-C, without an exception
        print("try: stopped.")


if __name__ == "__main__":
    console.run(main, speaks=False)
