"""Measure how fast it all is on this machine, side by side with what others do."""

import dataclasses
import shutil
from pathlib import Path

from benchmarks.suite import bench, table
from dogs_vs_cats import console
from dogs_vs_cats.errors import UserError

MINI = Path(__file__).parents[2] / "shared" / "data" / "dogs-vs-cats-mini"
QUICK = bench.Plan(
    rounds=1, photos=(20, 20), memory=(20, 40), seconds=0.5, rows=256, accuracy=False
)


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
    about = bench.described(source, plan)
    path = Path("benchmarks", f"{'quick-' if args.quick else ''}{bench.machine_slug()}.md")
    results = bench.run(source, plan, folder, lambda now: table.write(path, now, plan, about))
    print(table.text(table.figures(results, plan)))
    print(f"bench: {path} and {path.with_suffix('.json').name}")
    if results.failed:
        raise UserError(
            f"Expected to measure everything. Received nothing of {', '.join(results.failed)}, at "
            f"least once. {path.with_suffix('.json')} says why; what they need is in {folder}."
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    console.run(main)
