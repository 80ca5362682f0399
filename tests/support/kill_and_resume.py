"""Kill `make features` with SIGKILL at random moments; the finished arrays must be byte-identical.

PYTHONPATH=$PWD/src WEIGHTS=$PWD/weights python tests/support/kill_and_resume.py SOURCE
    [--kills 10] [--recipe fast] [--seed 0] [--engine openvino]

Works in a temporary folder: one run that is left alone, then one that is killed again and again
and resumed. Prints each kill and the count; status 1 if a byte differs or it could not be killed
so often.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def start(folder: Path, script: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(child: subprocess.Popen) -> None:
    errors = child.communicate()[1].decode()
    if child.returncode:
        sys.exit(f"a run failed without being killed: {errors}")


def chunks(folder: Path) -> int:
    """Return how many chunks are recorded, in finished stores and drafts together."""
    return sum(
        path.read_bytes().count(b'"chunk"') for path in folder.glob("cache/*/*/*/chunks.jsonl")
    )


def kill(folder: Path, options: list[str], wait: float | None, start_up: float = 0.0) -> bool:
    """Start a run and kill it; return False if it finished before.

    wait: seconds after the run has recorded its first chunk; None: `start_up` seconds after its
    start.
    """
    before = chunks(folder)
    child = start(folder, "features", *options)
    if wait is None:
        time.sleep(start_up)
    else:
        while child.poll() is None and chunks(folder) == before:
            time.sleep(0.005)
        time.sleep(wait)
    alive = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    print(f"killed: chunks recorded before {before}, after {chunks(folder)}", flush=True)
    return alive


def kill_somewhere(folder: Path, options: list[str], rng: random.Random) -> bool:
    """Kill a run at a random moment: while it starts, or soon after it has begun to write."""
    if rng.random() < 0.2:
        return kill(folder, options, None, rng.uniform(0.1, 3))
    return kill(folder, options, rng.uniform(0, 0.05 if options[1].endswith(".toml") else 1.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--seed", type=int, default=0)
    args, engine = parser.parse_known_args()
    source, rng = str(Path(args.source).resolve()), random.Random(args.seed)
    recipe = str(Path(args.recipe).resolve()) if args.recipe.endswith(".toml") else args.recipe
    options = ["--recipe", recipe, *engine]
    with tempfile.TemporaryDirectory() as temporary:
        straight, killed = Path(temporary, "straight"), Path(temporary, "killed")
        for folder in straight, killed:
            folder.mkdir()
            finish(start(folder, "data", "--source", source, "--dataset", "photos"))
        finish(start(straight, "features", *options))
        kills = 0
        while kills < args.kills and kill_somewhere(killed, options, rng):
            kills += 1
        finish(start(killed, "features", *options))
        arrays = sorted(path.relative_to(straight) for path in straight.rglob("features.npy"))
        same = [p for p in arrays if (straight / p).read_bytes() == (killed / p).read_bytes()]
        print(f"{kills} kills; {len(same)} of {len(arrays)} arrays byte-identical")
        if kills < args.kills or same != arrays or not arrays:
            sys.exit(1)


if __name__ == "__main__":
    main()
