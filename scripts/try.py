"""Serve a page on this machine where photos are dropped and answered by a trained recipe."""

import argparse

from dogs_vs_cats import blending, console, engines, hardware, progress, recipes, workspace

PORT = 8017


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--port", type=port, default=PORT, help=f"0 takes any (default: {PORT})")
    args = parser.parse_args()
    recipe = recipes.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    place = workspace.current(args.dataset)
    hardware.versions("flask", "waitress", setup="make setup EXTRAS=try")
    blending.require(place, recipe, engine, args.recipe)

    from dogs_vs_cats import desk

    with desk.listening(args.port) as listener:
        progress.say(f"try: {place.dataset}, {recipe.name}: loading")
        server = desk.server(desk.load(place, recipe, engine, args.threads), listener)
        address = f"http://{desk.HOST}:{listener.getsockname()[1]}"
        progress.say(f"try: ready at {address} (Ctrl-C ends it)")
        server.run()  # which takes Ctrl-C for itself
    raise KeyboardInterrupt


def port(text: str) -> int:
    """Return the port that an option's text is; for argparse."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, received {text!r}")
    return int(text)


if __name__ == "__main__":
    console.run(main)
