"""make figures: the tables of README and docs are measured again and compared with the pages."""

from pathlib import Path

import pytest

from benchmarks.figures import check, pages, tables
from benchmarks.figures.pages import Row, Seconds, Value
from benchmarks.figures.workbench import Workbench
from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT
from support.prepared import copy_of

PAGE = """# A page

<!-- figures: pets; command: make figures FIGURES=pets; processor: {processor} -->

| pet | what it is | accuracy | log loss | heads |
| --- | --- | --- | --- | --- |
| `cat` (default) | weighted 0.67 to 0.33 | 97.95% ± 0.32 | 0.049 ± 0.006 | 13 s |
| | 2 of them | | +0.0015 ± 0.0021 | theirs, 23 min |

Text below.
"""
OTHER_PROCESSOR = "AMD EPYC avx512_bf16 amx_int8"


def measured(accuracy: float = 97.951, log_loss: float = 0.0493) -> list[Row]:
    return [
        Row(
            "`cat`",
            {
                "accuracy": (Value(accuracy, 0.064), Value(0.321)),
                "log loss": (Value(log_loss, 0.0012), Value(0.0061)),
                "heads": Seconds(13.4),
                "a column of another page": (Value(1),),
            },
        ),
        Row(
            " | 2 of", {"log loss": (Value(0.00151, 0.0012), Value(0.0021)), "heads": Seconds(1380)}
        ),
    ]


@pytest.fixture
def page(here) -> Path:
    path = here / "page.md"
    path.write_text(PAGE.format(processor=environment.processor()), encoding="utf-8")
    return path


def problems_of(page: Path, rows: list[Row], processor: str) -> list[str]:
    (table,) = pages.read(page)
    return pages.compare(table, rows, processor)[0]


def test_figures_that_are_equal_as_printed_have_no_differences(page):
    assert problems_of(page, measured(), environment.processor()) == []


def test_on_the_same_instruction_set_a_digit_is_a_difference(page):
    (problem,) = problems_of(page, measured(log_loss=0.0496), environment.processor())
    assert "pets, `cat`, log loss" in problem
    assert "'0.049 ± 0.006'" in problem
    assert "'0.050 ± 0.006'" in problem


def test_on_another_instruction_set_a_fifth_of_a_standard_error_is_none(page):
    assert problems_of(page, measured(98.01, 0.0506), OTHER_PROCESSOR) == []
    for rows in measured(accuracy=98.03), measured(log_loss=0.0510):
        assert len(problems_of(page, rows, OTHER_PROCESSOR)) == 1


def test_a_row_or_a_number_that_nothing_measures_is_a_difference(page):
    (problem,) = problems_of(page, measured()[:1], environment.processor())
    assert "nothing measures" in problem
    page.write_text(page.read_text().replace("0.049 ± 0.006", "TODO"))
    (problem,) = problems_of(page, measured(), OTHER_PROCESSOR)
    assert "'TODO', measured: '0.0493 ± 0.0061'" in problem


def test_times_are_rewritten_where_the_instruction_set_is_the_same(page, capsys):
    rows = [Row("`cat`", {"heads": Seconds(38)}), Row(" | 2", {"heads": Seconds(600)})]
    before = page.read_text()
    bench, measures = Workbench("none"), {"pets": lambda bench: rows}
    assert check.check(list(pages.read(page)), measures, bench, Path("work"), []) == []
    expected = before.replace(" 13 s ", " 38 s ").replace("theirs, 23 min", "theirs, 10 min")
    assert page.read_text() == expected
    page.write_text(before.replace("processor: ", "processor: avx1024 "))
    check.check(list(pages.read(page)), measures, bench, Path("work"), ["pets"])
    assert page.read_text().count("13 s") == 1
    assert "| `cat` (default) |" in capsys.readouterr().out


def test_an_unknown_table_is_refused(page):
    found = list(pages.read(page))
    with pytest.raises(UserError, match=r"FIGURES=dogs: .* There are: pets\."):
        check.check(found, {"pets": lambda bench: []}, Workbench("none"), Path("work"), ["dogs"])


def test_a_comment_without_a_table_is_refused(page):
    page.write_text(page.read_text().replace("| ", "& "))
    with pytest.raises(UserError, match="line 3: no table follows"):
        list(pages.read(page))


def test_a_trained_recipe_is_measured_once(made, here):
    """The commands themselves, on recipes that are trained: tiny.toml and its blend."""
    copy_of(made, here)
    page = here / "page.md"
    page.write_text(
        f"<!-- figures: tiny; command: make; processor: {environment.processor()} -->\n"
        "| recipe | accuracy | log loss | views | heads |\n| --- | --- | --- | --- | --- |\n"
        "| `tiny` | 0.0% ± 0.0 | 0.0000 ± 0.0000 | 0 | 0 s |\n",
        encoding="utf-8",
    )
    bench = Workbench("source", Workspace("source"))
    before = Path("models/source/tiny/stamp.json").read_bytes()
    measures = {"tiny": lambda bench: [tables.row("`tiny`", bench.train("tiny.toml"))]}
    problems = check.check(list(pages.read(page)), measures, bench, Path(), [])
    assert Path("models/source/tiny/stamp.json").read_bytes() == before
    assert [problem.split(", ")[3].split(":")[0] for problem in problems] == [
        "accuracy",
        "log loss",
        "views",
    ]
    for problem in problems:
        new = problem.rpartition("measured: ")[2].strip("'")
        old = problem.partition("has '")[2].partition("'")[0]
        page.write_text(page.read_text().replace(f"| {old} |", f"| {new} |"))
    assert check.check(list(pages.read(page)), measures, bench, Path(), ["tiny"]) == []


PROCESSORS = ("AMD EPYC avx512_bf16", "Intel(R) Xeon(R) Processor amx_bf16")


def test_each_table_of_the_pages_can_be_measured():
    found = [
        table
        for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
        for table in pages.read(page)
    ]
    assert {table.name for table in found} - {"bench"} == set(tables.TABLES)
    for table in found:
        assert table.processor.startswith(PROCESSORS), "as environment.processor() has it"
