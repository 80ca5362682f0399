"""The ledger is read as spreadsheets leave it, or refused; nothing of the user's is lost."""

from dataclasses import replace
from pathlib import Path

import pytest

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions, credentials, ledger, submissions, uploads
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.submission import expected_score
from dogs_vs_cats.workspace import LEDGER
from support.pictures import kaggle_folder

HEADER = ",".join(ledger.COLUMNS)
BLANK = "," * (len(ledger.COLUMNS) - 3)  # behind time, file and sha256
LINE = LedgerLine(sha256="s", dataset="d", recipe="r", file="f.csv")


@pytest.fixture(autouse=True)
def empty(here) -> Path:
    LEDGER.parent.mkdir()
    return here


def write_ledger(text: str | bytes) -> None:
    LEDGER.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_mark_of_a_spreadsheet_is_no_part_of_the_first_column():
    write_ledger(f"\ufeff{HEADER},notes\r\n2026-11-21,f.csv,s{BLANK},Hündin\r\n")
    ledger.put(replace(LINE, sha256="t"))
    for _ in range(2):
        lines = ledger.read()
        assert [x.time for x in lines] == ["2026-11-21", ""]
        assert [x.notes.get("notes", "") for x in lines] == ["Hündin", ""]
        ledger.put(replace(LINE, sha256="t"))


WRONG = {
    "another encoding": (
        f"{HEADER},notes\n1,f.csv,s{BLANK},x\n2,g.csv,t{BLANK},Hündin\n".encode("cp1252"),
        "not UTF-8: see line 3, '2'. Save it as UTF-8",
    ),
    "utf-16": (f"{HEADER}\n".encode("utf-16"), "line 1"),
    "semicolons": (HEADER.replace(",", ";") + "\n1;2\n", "CSV with commas"),
    "no header": ("1,f.csv,s\n", "The first line of submissions/ledger.csv is '1,f.csv,s'"),
    "a cut quote": (f'{HEADER}\n1,f.csv,s{BLANK}\n2,"g.csv,t{BLANK}\n', "from line 3 on"),
    "a column twice": (
        f'{HEADER},notes,notes\n1,f.csv,s{BLANK},"a\nb",\n2,f.csv,t{BLANK},c,d\n',
        "Line 4 of",
    ),
    "two texts without a column": (f"{HEADER}\n1,f.csv,s{BLANK},c,d\n", "'c' and 'd'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_ledger_that_would_lose_something_is_refused_and_left_alone(case):
    text, words = WRONG[case]
    write_ledger(text)
    before = LEDGER.read_bytes()
    for use in (
        ledger.read,
        lambda: ledger.put(LINE),
        lambda: ledger.record_result("1", "a", "ERROR"),
    ):
        with pytest.raises(UserError, match=r"submissions/ledger\.csv") as error:
            use()
        assert words in str(error.value)
    assert LEDGER.read_bytes() == before


def test_all_that_a_user_wrote_is_kept():
    write_ledger(
        f'{HEADER},my notes,,, padded \n1,f.csv,s{BLANK},"a ""b"", c\r\nd",nameless,,x \n\n'
        f",,,,\n2,g.csv,t{BLANK},good, really,,\n3,h.csv,u\n"
    )
    ledger.put(replace(LINE, sha256="v"))
    assert [
        (x.file, *(x.notes.get(name, "") for name in ("my notes", "", " padded ")))
        for x in ledger.read()
    ] == [
        ("f.csv", 'a "b", c\r\nd', "nameless", "x "),
        ("g.csv", "good", " really", ""),
        ("h.csv", "", "", ""),
        ("f.csv", "", "", ""),
    ]


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", HEADER + "\n"])
def test_a_ledger_without_lines_has_none(text):
    write_ledger(text)
    assert ledger.read() == []
    ledger.put(LINE)
    assert [line.sha256 for line in ledger.read()] == ["s"]


def test_columns_that_were_removed_are_blank():
    write_ledger("sha256,file\ns,f.csv\n")
    assert ledger.read() == [LedgerLine(sha256="s", file="f.csv")]


def test_a_csv_whose_name_is_no_utf_8_leaves_a_ledger_that_can_be_read():
    ledger.put(replace(LINE, file="caf\udce9.csv"))
    assert [line.file for line in ledger.read()] == ["caf\N{REPLACEMENT CHARACTER}.csv"]


def test_a_ledger_that_cannot_be_read_is_refused_before_anything_is_uploaded(monkeypatch):
    sent = []
    monkeypatch.setattr(submissions, "submit", lambda *_: sent.append(1))
    write_ledger(b"time,file,sha256\n1,\xfc,s\n")
    Path("a.csv").write_text("id,label\n1,0.5\n")
    with pytest.raises(UserError, match="line 2"):
        uploads.send(Path("a.csv"), "dogs-vs-cats", LINE, "", again=True)
    assert not sent


def sent_before(ref: str) -> Path:
    """Write a CSV, and the ledger as if it had been uploaded under a ref; return its path."""
    path = Path("a.csv")
    path.write_text("id,label\n1,0.5\n")
    line = replace(LINE, file=path.name, sha256=files.digest(path))
    ledger.put(replace(line, competition="dogs-vs-cats", ref=ref, status="PENDING"))
    return path


def test_a_ref_that_a_spreadsheet_made_a_decimal_is_the_one_it_was(monkeypatch):
    scores = submissions.Scores(0.1, 0.2, "COMPLETE")
    monkeypatch.setattr(submissions, "wait", lambda slug, ref, patience: scores)
    path = sent_before("41000001.0")
    line = replace(LINE, sha256=files.digest(path))
    done = uploads.send(path, "dogs-vs-cats", line, "", again=False)
    assert (done.ref, done.public_score) == ("41000001", "0.1")
    assert len(ledger.read()) == 1
    ledger.put(LedgerLine(sha256="t", ref="v1.0"))
    assert ledger.read()[1].ref == "v1.0", "no number that was a whole one"


@pytest.mark.parametrize("ref", ["41000001,0", "4.1E+07", "see Kaggle", "-3", "\u0663"])
def test_a_ref_that_is_no_whole_number_is_refused_with_its_line(ref):
    path = sent_before(ref)
    with pytest.raises(UserError, match=r"^The ref of a\.csv in") as error:
        uploads.send(path, "dogs-vs-cats", LINE, "", again=False)
    assert f"submissions/ledger.csv is {ref!r}, not a whole number. Correct it" in str(error.value)


@pytest.mark.parametrize("slug", ["dogs-vs-cats", "dogs-vs-cats-redux-kernels-edition"])
def test_a_score_that_is_no_number_comes_last_and_has_no_rank(run, monkeypatch, slug):
    asked = []

    def rank(slug, score):
        asked.append(score)
        return submissions.Rank(2, 9)

    monkeypatch.setattr(submissions, "list_all", lambda slug: [])
    monkeypatch.setattr(submissions, "leaderboard_rank", rank)

    def put(number: int, **scores: str) -> None:
        line = replace(LINE, sha256=f"{number}", file=f"{number}.csv", competition=slug)
        ledger.put(replace(line, status="COMPLETE", **scores))

    put(1, public_score="n/a")
    put(2, public_score="0,031")
    put(3)
    put(4, public_score="0.9", private_score="nan")
    assert "is place" not in run("scores")
    assert asked == []
    put(5, public_score="0.4")
    put(6, public_score="0.3", private_score="0.5")
    printed = run("scores").splitlines()
    names = [line.split()[-1] for line in printed if line.endswith(".csv")]
    best = "6" if slug == "dogs-vs-cats" else "5"  # accuracy there, log loss here
    assert names[0] == f"{best}.csv"
    assert set(names[:2]) == {"5.csv", "6.csv"}
    assert asked == [0.5 if best == "6" else 0.4]
    assert "is place 2 of 9" in printed[-1]


@pytest.fixture
def site(monkeypatch) -> list[submissions.Submission]:
    """Stand in for Kaggle: what is uploaded is scored at once, and listed here."""
    scores, listed = submissions.Scores(0.05, 0.06, "COMPLETE"), []

    def submit(slug: str, csv: Path, message: str) -> int:
        listed.insert(
            0, submissions.Submission(len(listed) + 1, None, csv.name, message, scores, "")
        )
        return len(listed)

    monkeypatch.setattr(submissions, "submit", submit)
    monkeypatch.setattr(submissions, "wait", lambda slug, ref, patience: scores)
    monkeypatch.setattr(submissions, "list_all", lambda slug: listed)
    monkeypatch.setattr(submissions, "leaderboard_rank", lambda *_: submissions.Rank(2, 9))
    monkeypatch.setattr(credentials, "find", lambda: "somebody's")
    return listed


def recipes_csv(run) -> tuple[Path, LedgerLine]:
    """Write a CSV and its line in the ledger, as `make submit` does for a recipe."""
    run("data", "--source", str(kaggle_folder(Path("source"))))
    path = Path("submissions/source-r.csv")
    path.write_text("id,label\n" + "".join(f"{n},0.{n}\n" for n in range(1, 6)))
    sha256 = files.digest(path)
    path = path.rename(path.with_name(f"source-r-{sha256[:8]}.csv"))
    line = LedgerLine(sha256=sha256, dataset="source", recipe="r", file=path.name)
    line = replace(line, oof_accuracy="0.99", oof_log_loss="0.04")
    ledger.put(line)
    return path, line


def knows(line: LedgerLine, known: LedgerLine) -> bool:
    """Return whether a line has all that is known of a submission."""
    return {k: v for k, v in known.columns().items() if v}.items() <= line.columns().items()


@pytest.mark.parametrize("name", ["", "ours.csv"])
def test_a_recipes_csv_keeps_its_recipe_when_it_is_uploaded_by_name(run, site, name):
    path, line = recipes_csv(run)
    path = path.rename(name) if name else path
    for slug in competitions.REDUX, "another":
        for _ in range(2):
            run("upload", "--csv", str(path), "--competition", slug)
    sent = ledger.read()
    assert [x.competition for x in sent] == [competitions.REDUX, "another"]
    assert all(knows(x, line) and x.private_score == "0.06" for x in sent)
    past = expected_score.ratios(sent, "another", "log_loss", "source", None)
    assert past == [pytest.approx(0.06 / 0.04)]


def test_a_csv_from_elsewhere_belongs_to_no_recipe(run, site):
    path, _ = recipes_csv(run)
    Path("own.csv").write_text(path.read_text().replace("0.1", "0.7"))
    run("upload", "--csv", "own.csv", "--competition", competitions.REDUX)
    last = ledger.read()[-1]
    assert (last.file, last.recipe, last.oof_log_loss) == ("own.csv", "", "")
    assert last.private_score == "0.06"


@pytest.mark.parametrize("named", [True, False])
def test_a_recipes_csv_sent_by_hand_is_known_by_its_name_or_message(run, site, named):
    path, line = recipes_csv(run)
    name, message = (path.name, "") if named else ("x.csv", f"by hand [{line.sha256[:8]}]")
    for file, text in (name, message), ("else-01234567.csv", "[0123456]"), ("", ""):
        site.append(
            submissions.Submission(
                len(site) + 7, None, file, text, submissions.Scores(0.05, 0.06, "COMPLETE"), ""
            )
        )
    for _ in range(2):
        run("scores", "--competition", competitions.REDUX)
        ours, *others = ledger.read()
        assert knows(ours, line)
        assert (ours.ref, ours.private_score) == ("7", "0.06")
        assert [(x.sha256, x.recipe) for x in others] == [("ref 8", ""), ("ref 9", "")]


def test_competitions_refs_and_the_users_columns_are_kept_apart():
    ledger.put(LINE)
    ledger.put(replace(LINE, competition="a", ref="1", status="PENDING"))
    ledger.record_result("1", "a", "COMPLETE", "0.1")
    text = LEDGER.read_text().splitlines()
    LEDGER.write_text(f"{text[0]},notes\n{text[1]},mine\n")
    ledger.put(replace(LINE, competition="b", ref="9", status="PENDING"))
    ledger.put(replace(LINE, competition="a", ref="2", status="PENDING"))
    lines = ledger.read()
    assert [(x.competition, x.ref, x.public_score) for x in lines] == [
        ("a", "1", "0.1"),
        ("b", "9", ""),
        ("a", "2", ""),
    ]
    assert lines[0].notes == {"notes": "mine"}
    assert ledger.last_sent("s", "a").ref == "2"
