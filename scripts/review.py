"""Open a page on this machine where the label issues of a trained recipe are decided."""

from dogs_vs_cats import console, environment, local_server, progress
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling.known_recipes import KnownRecipe
from dogs_vs_cats.workspace import current_workspace

PORT = 8018


def main() -> None:
    parser = console.arguments(__doc__)
    free = f"0 takes any free one (default: {PORT})"
    parser.add_argument("--port", type=console.port, default=PORT, help=free)
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    environment.versions("flask", "waitress", setup="make setup EXTRAS=try")

    from dogs_vs_cats.review import session, web_app

    with local_server.listening(args.port, "make review") as listener:
        progress.say(f"review: {workspace.dataset}, {recipe.name}: looking for label issues")
        command = KnownRecipe(args.recipe, recipe).command("train", workspace, engine)
        review = session.load(workspace, recipe, engine, command)
        progress.say(f"review: {counted(len(review.issues), 'label issue')} to decide")
        local_server.serve(web_app.app(review), listener, "review")


if __name__ == "__main__":
    console.run(main, speaks=False)
