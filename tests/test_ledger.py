"""The ledger is read as spreadsheets leave it, or refused; nothing of the user's is lost."""

from pathlib import Path

import pytest

from dogs_vs_cats import ledger, receipt
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import LEDGER

HEADER = ",".join(ledger.COLUMNS)
BLANK = "," * (len(ledger.COLUMNS) - 3)  # behind time, file and sha256
LINE = {"sha256": "s", "dataset": "d", "recipe": "r", "file": "f.csv"}


@pytest.fixture(autouse=True)
def empty(here) -> Path:
    LEDGER.parent.mkdir()
    return here


def say(text: str | bytes) -> None:
    LEDGER.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_mark_of_a_spreadsheet_is_no_part_of_the_first_column():
    say(f"\ufeff{HEADER},notes\r\n2026-11-21,f.csv,s{BLANK},Hündin\r\n")
    ledger.put(LINE | {"sha256": "t"})
    for _ in range(2):
        lines = ledger.read()
        assert list(lines[0]) == [*ledger.COLUMNS, "notes"]
        assert [(x["time"], x["notes"]) for x in lines] == [("2026-11-21", "Hündin"), ("", "")]
        ledger.put(LINE | {"sha256": "t"})


WRONG = {
    "another encoding": (
        f"{HEADER},notes\n1,f.csv,s{BLANK},x\n2,g.csv,t{BLANK},Hündin\n".encode("cp1252"),
        "another encoding in line 3, '2'. Save it as UTF-8",
    ),
    "utf-16": (f"{HEADER}\n".encode("utf-16"), "in line 1"),
    "semicolons": (HEADER.replace(",", ";") + "\n1;2\n", "CSV with commas"),
    "no header": ("1,f.csv,s\n", "Received '1,f.csv,s'. Correct the first line"),
    "a cut quote": (f'{HEADER}\n1,f.csv,s{BLANK}\n2,"g.csv,t{BLANK}\n', "from line 3 on"),
    "a column twice": (
        f'{HEADER},notes,notes\n1,f.csv,s{BLANK},"a\nb",\n2,f.csv,t{BLANK},c,d\n',
        "in line 4",
    ),
    "two texts without a column": (f"{HEADER}\n1,f.csv,s{BLANK},c,d\n", "'c' and 'd'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_ledger_that_would_lose_something_is_refused_and_left_alone(case):
    text, words = WRONG[case]
    say(text)
    before = LEDGER.read_bytes()
    for use in ledger.read, lambda: ledger.put(LINE), lambda: ledger.score("1", "a", {}):
        with pytest.raises(UserError, match=r"^Expected .*Received") as error:
            use()
        assert words in str(error.value)
        assert "submissions/ledger.csv" in str(error.value)
    assert LEDGER.read_bytes() == before


def test_all_that_a_user_wrote_is_kept():
    say(
        f'{HEADER},my notes,,, padded \n1,f.csv,s{BLANK},"a ""b"", c\r\nd",nameless,,x \n\n'
        f",,,,\n2,g.csv,t{BLANK},good, really,,\n3,h.csv,u\n"
    )
    ledger.put(LINE | {"sha256": "v"})
    assert [
        (x["file"], x.get("my notes"), x.get("", ""), x[" padded "]) for x in ledger.read()
    ] == [
        ("f.csv", 'a "b", c\r\nd', "nameless", "x "),
        ("g.csv", "good", " really", ""),
        ("h.csv", "", "", ""),
        ("f.csv", "", "", ""),
    ]


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", HEADER + "\n"])
def test_a_ledger_without_lines_has_none(text):
    say(text)
    assert ledger.read() == []
    ledger.put(LINE)
    assert [line["sha256"] for line in ledger.read()] == ["s"]


def test_columns_that_were_removed_are_blank():
    say("sha256,file\ns,f.csv\n")
    assert ledger.read() == [dict.fromkeys(ledger.COLUMNS, "") | {"sha256": "s", "file": "f.csv"}]


def test_a_csv_whose_name_is_no_utf_8_leaves_a_ledger_that_can_be_read():
    ledger.put(LINE | {"file": "caf\udce9.csv"})
    assert [line["file"] for line in ledger.read()] == ["caf\N{REPLACEMENT CHARACTER}.csv"]


def test_a_ledger_that_cannot_be_read_is_refused_before_anything_is_uploaded(monkeypatch):
    from dogs_vs_cats import competition

    sent = []
    monkeypatch.setattr(competition, "submit", lambda *_: sent.append(1))
    say(b"time,file,sha256\n1,\xfc,s\n")
    Path("a.csv").write_text("id,label\n1,0.5\n")
    with pytest.raises(UserError, match="line 2"):
        receipt.send(Path("a.csv"), "dogs-vs-cats", {}, "", again=True)
    assert not sent
