"""Measure the tables of README and docs again, and compare the pages with what comes out."""

import os
from pathlib import Path

from dogs_vs_cats import console
from dogs_vs_cats.errors import UserError

FOLDER = Path("benchmarks/.figures")


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("tables", nargs="*", help="names of tables (default: all)")
    args = parser.parse_args()

    from benchmarks.figures import check, pages, tables, workbench

    source = Path(os.environ.get("PHOTOS") or workbench.MINI).resolve()
    if not source.exists():
        raise UserError(
            f"No photos in {source}. Figures are measured on the 3,003 photos of the mini set: "
            "make figures PHOTOS=folder"
        )
    found = [
        table
        for page in (Path("README.md"), *sorted(Path("docs").glob("*.md")))
        for table in pages.read(page)
    ]
    bench = workbench.Workbench(str(source))
    problems = check.check(found, tables.TABLES, bench, FOLDER, args.tables)
    for problem in problems:
        print(f"figures: {problem}")
    if problems:
        raise UserError(f"{len(problems)} figures of the pages differ from what was measured.")


if __name__ == "__main__":
    console.run(main, speaks=False)
