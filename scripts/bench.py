"""Measure how fast it all is on this machine, side by side with what others do."""

import dataclasses
import json
import shutil
from pathlib import Path

from dogs_vs_cats import bench, console, files, hardware, workspace

MINI = Path(__file__).parents[2] / "shared" / "data" / "dogs-vs-cats-mini"
QUICK = bench.Plan(rounds=1, photos=20, memory=(20, 40), seconds=0.5, rows=256, accuracy=False)


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--source", help="photos (default: the mini set, else drawings)")
    parser.add_argument("--rounds", type=console.positive, help="how often (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a few photos: does it work at all")
    args = parser.parse_args()
    source = args.source or (str(MINI) if MINI.exists() else "sample")
    plan = QUICK if args.quick else bench.Plan()
    plan = dataclasses.replace(plan, rounds=args.rounds or plan.rounds)
    folder = Path("benchmarks/.work")
    results = bench.run(source, plan, folder)
    shutil.rmtree(folder)

    from dogs_vs_cats.bench import table

    about = bench.described(source, plan)
    found = table.figures(results, plan)
    name = workspace.slug(f"{hardware.processor()}-{hardware.cores()}-cores").lower()
    path = Path("benchmarks", f"{'quick-' if args.quick else ''}{name}.md")
    files.write_text(path, table.markdown(found, about))
    measured = {"about": about, "figures": [dataclasses.asdict(x) for x in found]}
    measured["measurements"] = results.found
    files.write_text(path.with_suffix(".json"), json.dumps(measured, indent=1) + "\n")
    print(table.text(found))
    print(f"bench: {path} and {path.with_suffix('.json').name}")


if __name__ == "__main__":
    console.run(main)
