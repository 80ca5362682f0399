"""Trials of make features CLUSTER= that take too long for tests; docs/scale.md has the results.

export PYTHONPATH=src:.:tests
python tests/support/cluster_trials.py kills SOURCE --recipe light
    two nodes (that takes root): a worker, a node or the driver is killed, at ten random moments
python tests/support/cluster_trials.py cpu SOURCE --recipe fast
    CPU time of one process, and of a cluster of this machine alone
python tests/support/cluster_trials.py flow --rows 1000000 --rate 10000
    rows of made-up numbers, through the driver into the store

SOURCE is what `make data SOURCE=` takes. Each works in a temporary folder.
"""

import argparse
import contextlib
import functools
import hashlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).parents[2]


def script(name: str, *options: str) -> list[str]:
    return [sys.executable, str(PROJECT / "scripts" / f"{name}.py"), *options]


def done(*command: str) -> str:
    """Run a command that must succeed; return what it printed."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stdout + result.stderr)
    return result.stdout


def digests() -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("features.npy", "rows.csv")
        for path in Path("cache").rglob(name)
    }


def kills(args: argparse.Namespace) -> None:
    """Kill something at a random moment of each of `args.kills` runs; compare all bytes."""
    from support.kill_and_resume import chunks
    from support.ray_nodes import Nodes

    rng = random.Random(args.seed)
    features = script("features", "--recipe", args.recipe)
    print(done(*features).splitlines()[-1], flush=True)
    expected = digests()
    for number in range(args.kills):
        Path("cache").rename(f"cache.{number}")
        kind = ("worker", "node", "driver")[number % 3]
        with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
            nodes = Nodes(Path(folder))
            try:
                nodes.start()
                nodes.start()
                command = [*features, "--cluster", nodes.address]
                process = nodes.run(0, *command, **nodes.variables)
                while not chunks(Path()):
                    time.sleep(0.01)
                wait = rng.uniform(0, args.span)
                time.sleep(wait)
                before = chunks(Path())
                alive = process.poll() is None
                if kind == "driver":
                    process.kill()
                    process.communicate()
                    before = chunks(Path())
                    process = nodes.run(0, *command, **nodes.variables)
                else:
                    node, title = (rng.randrange(2), "ray::Worker") if kind == "worker" else (1, "")
                    nodes.kill(node, title)
                out, err = process.communicate()
            finally:
                nodes.close()
        same = digests() == expected
        state = "running" if alive else "finished"
        print(f"{kind} killed {wait:.1f} s after the first chunk, with {before} recorded ({state})")
        print(
            f"  {out.splitlines()[-1]}; {'same bytes' if same else 'OTHER BYTES'} {err}", flush=True
        )
        if process.returncode or not same:
            sys.exit(1)


def cpu(args: argparse.Namespace) -> None:
    """Compute the same features alone and on a cluster; print the CPU time of their parts."""
    for cluster in None, "local":
        call = f"measure({args.recipe!r}, {cluster!r})"
        code = f"from support import cluster_trials; cluster_trials.{call}"
        print(done(sys.executable, "-c", code).splitlines()[-1], flush=True)
        print(hashlib.sha256(repr(sorted(digests().items())).encode()).hexdigest(), flush=True)
        Path("cache").rename(f"cache.{cluster}")


def measure(recipe: str, cluster: str | None) -> None:
    """Compute a recipe's features; print CPU seconds: of the computing, the driver, start-up."""
    from dogs_vs_cats.config import engines, recipe_files
    from dogs_vs_cats.features import extraction, timings
    from dogs_vs_cats.workspace import current_workspace

    workers = 0.0
    honest = timings.spent_elsewhere

    def count(seconds: float) -> None:
        nonlocal workers
        workers += seconds
        honest(seconds)

    timings.spent_elsewhere = count
    engine = engines.choose("keras", "auto")
    settings = recipe_files.read(recipe).features
    before = timings.cpu()
    run = extraction.Run(cluster=cluster)
    built = extraction.build(current_workspace(None), settings, engine, run)
    spent = timings.cpu() - before
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    everything = sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)
    print(
        f"{cluster or 'one process'}: {sum(built.computed.values())} views, CPU seconds: "
        f"{spent:.2f} in all, {workers:.2f} of workers, {spent - workers:.2f} of this process; "
        f"{everything:.1f} with start-up; {built.times.total:.1f} s by the clock, "
        f"{built.times.start:.1f} s to start"
    )


class Flow:
    """Stands for a Worker: its rows are made up, `rate` of them a second."""

    def prove(self, plan: object, threads: int) -> object:
        self._rate, self._width = plan.build(threads)
        from dogs_vs_cats.cluster.proof import Proof

        return Proof({}, "")

    def compute(self, jobs: list) -> object:
        from dogs_vs_cats.features.cluster.worker import Shard

        needs = [need for job in jobs for need in job.needs.values()]
        vectors = np.full((len(needs), self._width), needs[0] % 1000, np.float32)
        time.sleep(2 * len(needs) / self._rate)  # two shards are under way at once
        return Shard(needs, vectors, 0.0, 0.0, 0.0)


def flow_of(rate: float, width: int, threads: int | None) -> tuple[float, int]:
    return rate, width


def flow(args: argparse.Namespace) -> None:
    """Send rows through the driver into a store, as fast as they are offered; print how it goes."""
    from dogs_vs_cats import environment
    from dogs_vs_cats.cluster import session
    from dogs_vs_cats.cluster.proof import Proof
    from dogs_vs_cats.cluster.team import Team
    from dogs_vs_cats.features import store
    from dogs_vs_cats.features.cluster import driver
    from dogs_vs_cats.features.cluster.worker import Plan
    from dogs_vs_cats.features.pipeline import Job
    from dogs_vs_cats.features.timings import Times

    driver.Worker = Flow
    names = [f"{number:064x}" for number in range(args.rows)]
    draft = store.Draft(Path("flow"), names, args.width, {})
    plan = Plan(functools.partial(flow_of, args.rate, args.width), dict, 8, args.batch, Path.cwd())
    photo = Path("photo.jpg")
    jobs = (Job(None, photo, {"plain": row}) for row in range(args.rows))
    with session.joined("local", False):
        team = Team(driver.work(plan, False, environment.cores()), Proof({}, ""))
        team.start()
        begun, spent = time.monotonic(), time.process_time()
        results = driver.computed(team, jobs, args.batch, Times())
        for number, (row, vector) in enumerate(results, 1):
            draft.put(row, vector)
            if number % (args.rows // 10) == 0:
                _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
                memory = (resident - shared) * resource.getpagesize()
                rate = number / (time.monotonic() - begun)
                seconds = time.process_time() - spent
                print(
                    f"{number:>12,} rows, {rate:>8,.0f} a second, driver: {seconds:>7.1f} CPU s, "
                    f"{memory / 2**20:,.0f} MiB",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trial", choices=("kills", "cpu", "flow"))
    parser.add_argument("source", nargs="?")
    parser.add_argument("--recipe", default="light")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--span", type=float, default=4.0, help="seconds in which a kill may be")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, default=64, help="numbers a row")
    args = parser.parse_args()
    source = str(Path(args.source).resolve()) if args.source else None
    if args.recipe.endswith(".toml"):
        args.recipe = str(Path(args.recipe).resolve())
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if source:
            done(*script("data", "--source", source, "--dataset", "photos"))
        {"kills": kills, "cpu": cpu, "flow": flow}[args.trial](args)


if __name__ == "__main__":
    main()
