"""`make review` writes verdicts.csv: one row at a time, and nothing of the user's is lost."""

import errno
import os

import pytest

from dogs_vs_cats import files
from dogs_vs_cats.data import photos, verdict_writer, verdicts
from dogs_vs_cats.data.verdict_writer import EditedMeanwhileError
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

WORKSPACE = Workspace("source")
HEADER = "photo,verdict,why\n"
TABLE = (
    ",".join(photos.COLUMNS)
    + "\n"
    + "".join(
        f"{label}.{n},photos/{label}.{n}.jpg,{label},g,0,1,1,{n},\n"
        for label in ("cat", "dog")
        for n in range(4)
    )
)


@pytest.fixture(autouse=True)
def table(here):
    WORKSPACE.data.mkdir(parents=True)
    WORKSPACE.table.write_text(TABLE)


def decide(photo: str, verdict: str, why: str = "fast says dog") -> verdict_writer.Written:
    seen = verdict_writer.digest(WORKSPACE)
    return verdict_writer.write(WORKSPACE, photo, verdict, why, seen)


def written() -> str:
    return WORKSPACE.verdicts.read_bytes().decode()


def test_the_first_decision_makes_the_file_and_the_next_ones_add_rows():
    decide("cat.1", "dog")
    decide("dog.2", "drop", "the same, twice")
    assert written() == HEADER + 'cat.1,dog,fast says dog\ndog.2,drop,"the same, twice"\n'
    decide("cat.1", "keep", "not read: the row has its remark")
    assert written() == HEADER + 'cat.1,keep,fast says dog\ndog.2,drop,"the same, twice"\n'


# What the user has written -> what it becomes when cat.1 is decided to be a dog.
BY_HAND = {
    "nothing": ("", HEADER + "cat.1,dog,new\n"),
    "a mark": ("\ufeff", "\ufeff" + HEADER + "cat.1,dog,new\n"),
    "an empty line": ("\n", "\n" + HEADER + "cat.1,dog,new\n"),
    "no last line end": (HEADER + "dog.1,cat,x", HEADER + "dog.1,cat,x\ncat.1,dog,new\n"),
    "other quotes": (HEADER + '"dog.1","cat",""\n', HEADER + '"dog.1","cat",""\ncat.1,dog,new\n'),
    "its path": (
        HEADER + "photos/cat.1.jpg,drop,mine\ndog.1,cat,\n",
        HEADER + "photos/cat.1.jpg,dog,mine\ndog.1,cat,\n",
    ),
    "lines in a remark, blank lines": (
        HEADER + '\ndog.1,cat,"a\nb"\n\ncat.1,drop,"c\nd"\n,,\ndog.2,keep,\n',
        HEADER + '\ndog.1,cat,"a\nb"\n\ncat.1,dog,"c\nd"\n,,\ndog.2,keep,\n',
    ),
    "another line end in a remark": (
        HEADER + 'cat.1,drop,"c\rd"\n',
        HEADER + 'cat.1,dog,"c\rd"\n',
    ),
    "another line end in an old Mac's": (
        'photo,verdict,why\rcat.1,drop,"c\nd"\r',
        'photo,verdict,why\rcat.1,dog,"c\nd"\r',
    ),
    "a spreadsheet's": (
        "\ufeffphoto,verdict,why\r\ncat.1,drop,\xe4\r\ndog.1,cat,x\r\n",
        "\ufeffphoto,verdict,why\r\ncat.1,dog,\xe4\r\ndog.1,cat,x\r\n",
    ),
    "a spreadsheet's, with a new row": (
        "photo,verdict,why\r\ndog.1,cat,x\r\n",
        "photo,verdict,why\r\ndog.1,cat,x\r\ncat.1,dog,new\r\n",
    ),
    "an old Mac's": (
        "photo,verdict,why\rdog.1,cat,x",
        "photo,verdict,why\rdog.1,cat,x\rcat.1,dog,new\r",
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_rows_remarks_order_and_line_ends_of_the_user_stay(case):
    before, after = BY_HAND[case]
    WORKSPACE.verdicts.write_bytes(before.encode())
    decide("cat.1", "dog", "new")
    assert written() == after
    assert verdicts.rows_of(WORKSPACE)["cat.1"].verdict.verdict == "dog"


def test_an_undone_decision_leaves_the_bytes_that_were_there_before():
    first = decide("cat.1", "dog")
    assert first.before is None
    before = WORKSPACE.verdicts.read_bytes()
    second = decide("cat.1", "drop")
    assert WORKSPACE.verdicts.read_bytes() != before
    verdict_writer.put_back(WORKSPACE, second.before, second.digest)
    assert WORKSPACE.verdicts.read_bytes() == before
    verdict_writer.put_back(WORKSPACE, first.before, first.digest)
    assert not WORKSPACE.verdicts.exists()


def test_a_file_that_was_edited_meanwhile_is_left_as_it_is():
    first = decide("cat.1", "dog")
    WORKSPACE.verdicts.write_text(HEADER + "cat.1,dog,by hand\n")
    for attempt in (
        lambda: verdict_writer.write(WORKSPACE, "dog.1", "cat", "", first.digest),
        lambda: verdict_writer.write(WORKSPACE, "dog.1", "cat", "", ""),
        lambda: verdict_writer.put_back(WORKSPACE, None, first.digest),
    ):
        with pytest.raises(EditedMeanwhileError, match="changed meanwhile"):
            attempt()
    assert written() == HEADER + "cat.1,dog,by hand\n"
    seen = verdict_writer.digest(WORKSPACE)
    WORKSPACE.verdicts.unlink()
    with pytest.raises(EditedMeanwhileError):
        verdict_writer.write(WORKSPACE, "dog.1", "cat", "", seen)
    assert not WORKSPACE.verdicts.exists()


def test_a_full_disk_leaves_the_old_file(monkeypatch):
    decide("cat.1", "dog")
    before = WORKSPACE.verdicts.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        decide("dog.1", "cat")
    assert error.value.filename.endswith("verdicts.csv")
    assert WORKSPACE.verdicts.read_bytes() == before
    assert {path.name for path in WORKSPACE.data.iterdir()} == {
        "photos.csv",
        "verdicts.csv",
        ".verdicts.lock",
    }


def test_a_file_that_is_a_link_stays_one(tmp_path):
    target = tmp_path / "elsewhere.csv"
    target.write_text(HEADER)
    WORKSPACE.verdicts.symlink_to(target)
    decide("cat.1", "dog", "")
    assert WORKSPACE.verdicts.is_symlink()
    assert target.read_text() == HEADER + "cat.1,dog,\n"


def test_a_broken_file_or_a_name_that_is_not_utf_8_is_refused_and_nothing_is_written():
    WORKSPACE.verdicts.write_text("id;verdict\n")
    with pytest.raises(UserError, match="begins with 'id;verdict'"):
        decide("cat.1", "dog")
    assert written() == "id;verdict\n"
    WORKSPACE.verdicts.unlink()
    with pytest.raises(UserError, match="not UTF-8"):
        decide(os.fsdecode(b"cat\xff"), "dog")
    assert not WORKSPACE.verdicts.exists()


def test_a_word_that_is_a_class_too_is_no_choice():
    assert verdict_writer.choices(["cat", "dog"]) == ["keep", "drop", "cat", "dog"]
    assert verdict_writer.choices(["dog", "drop"]) == ["keep", "dog"]
