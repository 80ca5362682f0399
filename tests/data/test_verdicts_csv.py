"""verdicts.csv is read as users and spreadsheets write it, or refused with the line to correct."""

import pandas as pd
import pytest

from dogs_vs_cats.data import photos, verdicts
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

WORKSPACE = Workspace("source")
CLASSES = ["cat", "dog"]
HEADER = "photo,verdict,why\n"


def write(text: str | bytes) -> None:
    WORKSPACE.data.mkdir(parents=True, exist_ok=True)
    WORKSPACE.verdicts.write_bytes(text if isinstance(text, bytes) else text.encode())


def table(label: str = "cat") -> pd.DataFrame:
    """Return a table of four photos of a class, four dogs, an unreadable dog and a test photo."""
    rows = [(f"{label}.{n}", label, "") for n in range(4)]
    rows += [(f"dog.{n}", "dog", "cut off" if n == 4 else "") for n in range(5)]
    return pd.DataFrame([*rows, ("1", "", "")], columns=["id", "label", "problem"])


def read(text: str | bytes) -> dict[str, Verdict]:
    write(text)
    return verdicts.read(WORKSPACE, table(), CLASSES)


def test_a_verdict_keeps_drops_or_gives_a_class(here):
    decided = read(
        'photo,verdict,why\ncat.1,drop,"half a dog, half a cat"\ndog.0,cat,\ncat.0,keep,x\n'
    )
    assert decided == {
        "cat.1": Verdict("drop", "half a dog, half a cat"),
        "dog.0": Verdict("cat", ""),
        "cat.0": Verdict("keep", "x"),
    }
    rows = photos.train(table())
    corrected = verdicts.corrected_labels(decided, rows, CLASSES)
    assert corrected.tolist() == [0, -1, 0, 0, 0, 1, 1, 1]
    assert verdicts.counts(decided, rows) == {"dropped": 1, "relabelled": 1}
    same_class = read("photo,verdict,why\ncat.1,cat,sure\n")
    assert verdicts.counts(same_class, rows) == {"dropped": 0, "relabelled": 0}


def test_files_as_spreadsheets_and_people_write_them(here):
    assert verdicts.read(WORKSPACE, table(), CLASSES) == {} == verdicts.changes(WORKSPACE)
    for empty in "", "\ufeff", "photo,verdict,why\n", "photo,verdict,why", "\n":
        assert read(empty) == {} == verdicts.changes(WORKSPACE)
    excel = '\ufeffphoto,verdict,why\r\ncat.1,drop,"two\r\nlines"\r\n,,\r\n\r\ndog.1,cat,ä\r\n'
    assert read(excel) == {"cat.1": Verdict("drop", "two\r\nlines"), "dog.1": Verdict("cat", "ä")}
    assert verdicts.changes(WORKSPACE) == {"cat.1": "drop", "dog.1": "cat"}


WRONG = {
    "no such photo": (HEADER + "cat.0,keep,\ncat.11,drop,\n", "Line 3 of", "'cat.11'", "'cat.1'"),
    "a file's name": (HEADER + "cat.1.jpg,drop,\n", "Line 2", "'cat.1.jpg', which is no photo"),
    "a test photo": (HEADER + "1,dog,\n", "Line 2", "'1', a test photo"),
    "an unreadable photo": (HEADER + "dog.4,drop,\n", "'dog.4', a photo that can't be read"),
    "no photo": (HEADER + ",drop,\n", "Line 2", "''"),
    "twice": (HEADER + "cat.1,drop,\ndog.1,cat,\ncat.1,drop,\n", "'cat.1', in lines 2 and 4"),
    "another word": (
        HEADER + "cat.1,remove,\n",
        "Line 2 of",
        "'remove' of 'cat.1'",
        "or a class: cat, dog",
    ),
    "a typing error": (HEADER + "cat.1,Dorp,\n", "'Dorp'", "The nearest is 'drop'"),
    "a class in capitals": (HEADER + "cat.1,DOG,\n", "'DOG'", "The nearest is 'dog'"),
    "no verdict": (HEADER + "cat.1,,why\n", "Line 2 of", "says '' of 'cat.1'"),
    "other columns": ("id,label\n1,0.5\n", "begins with 'id,label'"),
    "no header": ("cat.1,drop,\n", "begins with 'cat.1,drop,'"),
    "semicolons": ("photo;verdict;why\ncat.1;drop;\n", "'photo;verdict;why'", "CSV with commas"),
    "tabs": ("photo\tverdict\twhy\n", "CSV with commas"),
    "a comma without quotes": (HEADER + "cat.1,drop,a, b\n", "Line 2", "'cat.1', has 4 fields"),
    "two fields": (HEADER + "cat.1,drop\n", "Line 2", "'cat.1', has 2 fields"),
    "a cut quote": (HEADER + 'cat.1,drop,x\ndog.1,cat,"y\n', "from line 3 on"),
    "another encoding": (
        HEADER.encode() + "cat.0,keep,x\ncat.1,drop,Hündin\n".encode("cp1252"),
        "line 3, 'cat.1'",
        "CSV UTF-8",
    ),
    "utf-16": ((HEADER + "cat.1,drop,\n").encode("utf-16"), "line 1", "CSV UTF-8"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_with_the_line_and_the_photo(here, case):
    text, *words = WRONG[case]
    with pytest.raises(UserError) as error:
        read(text)
    for word in (*words, "data/source/verdicts.csv"):
        assert word in str(error.value)


def test_a_word_that_is_a_class_too_is_refused_where_it_is_used(here):
    rows, classes = table("drop"), ["dog", "drop"]
    write(HEADER + "dog.1,keep,\ndog.2,dog,\n")
    decided = verdicts.read(WORKSPACE, rows, classes)
    corrected = verdicts.corrected_labels(decided, photos.train(rows), classes)
    assert corrected.tolist() == [1, 1, 1, 1, 0, 0, 0, 0], "a class named drop is not dropped"
    write(HEADER + "dog.1,drop,\n")
    with pytest.raises(UserError, match=r"Line 2 .*'drop' of 'dog.1', which is ambiguous"):
        verdicts.read(WORKSPACE, rows, classes)


def test_verdicts_that_leave_no_photo_of_a_class_are_refused(here):
    decided = read(HEADER + "".join(f"cat.{n},{('drop', 'dog')[n % 2]},\n" for n in range(4)))
    with pytest.raises(UserError, match="leave no photo of cat"):
        verdicts.corrected_labels(decided, photos.train(table()), CLASSES)
