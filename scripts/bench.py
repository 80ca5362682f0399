"""Measure how fast every stage is on this machine, compared with other ways to do it."""

import dataclasses
import shutil
from pathlib import Path

from benchmarks.suite import bench, rows, table
from benchmarks.suite.plan import Plan, Results
from dogs_vs_cats import console
from dogs_vs_cats.errors import UserError

MINI = Path(__file__).parents[2] / "shared" / "data" / "dogs-vs-cats-mini"
QUICK = Plan(rounds=1, photos=(20, 20), memory=(20, 40), seconds=0.5, rows=256, accuracy=False)


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--source", help="photos (default: the mini set, else drawings)")
    parser.add_argument("--rounds", type=console.positive, help="times each rate is measured (3)")
    parser.add_argument("--quick", action="store_true", help="few photos: only check that it runs")
    args = parser.parse_args()
    source = args.source or (str(MINI) if MINI.exists() else "sample")
    plan = QUICK if args.quick else Plan()
    plan = dataclasses.replace(plan, rounds=args.rounds or plan.rounds)
    folder = Path("benchmarks/.work")
    about = bench.description(source, plan)
    path = Path("benchmarks", f"{'quick-' if args.quick else ''}{bench.machine_slug()}.md")

    def write(results: Results) -> None:
        table.write(path, rows.all_rows(results, plan), results, about)

    results = bench.run(source, plan, folder, write)
    print(table.text(rows.all_rows(results, plan)))
    print(f"bench: {path} and {path.with_suffix('.json').name}")
    if results.failed:
        raise UserError(
            f"Some measurements failed at least once: {', '.join(results.failed)}. "
            f"{path.with_suffix('.json')} has the reasons; their files are in {folder}."
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    console.run(main)
