"""The table of photos: read in parts it is the table, and its bytes are those of ever."""

import pandas as pd
import pytest

from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

PLACE = Workspace("source")
TEXT = '''id,path,label,group,fold,width,height,sha256,problem
cat.1,a.jpg,cat,cat.1,0,5,6,aa,
cat.2,"b, ü.jpg",cat,cat.1,0,7,8,bb,
dog.1,c.jpg,dog,dog.1,,0,0,cc,"broken: ""x"""
1,d.jpg,,1,,9,10,dd,
'''


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PLACE.data.mkdir(parents=True)
    PLACE.table.write_bytes(TEXT.encode())


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_in_parts_of_any_size_it_is_the_same_table(monkeypatch, rows):
    monkeypatch.setattr(photos, "PART", rows)
    table = photos.read(PLACE)
    assert table["path"].tolist() == ["a.jpg", "b, ü.jpg", "c.jpg", "d.jpg"]
    assert table["fold"].tolist() == [0, 0, -1, -1]
    assert table["height"].tolist() == [6, 8, 0, 10]
    assert table["problem"].tolist() == ["", "", 'broken: "x"', ""]
    assert table.index.tolist() == [0, 1, 2, 3]
    assert photos.train(table)["id"].tolist() == ["cat.1", "cat.2"]
    some = photos.read(PLACE, ["problem", "width"])
    pd.testing.assert_frame_equal(some, table[["problem", "width"]])
    assert [len(x) for x in photos.parts(PLACE, ["id"])] == [rows] * (4 // rows) + (
        [4 % rows] if 4 % rows else []
    )


def test_what_is_written_is_what_was_read_byte_for_byte():
    table = photos.read(PLACE)
    table["fold"] = table["fold"].astype(str).replace("-1", "")
    PLACE.table.unlink()
    photos.write(PLACE, table)
    assert PLACE.table.read_bytes() == TEXT.encode()


def test_a_name_that_is_not_utf8_and_an_empty_table_are_kept():
    data = TEXT.encode().replace(b"c.jpg", b"\xe9.jpg")
    PLACE.table.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))  # a spreadsheet's
    table = photos.read(PLACE)
    assert table["path"][2] == "\udce9.jpg"
    photos.write(PLACE, table)
    assert b"\xe9.jpg" in PLACE.table.read_bytes()
    photos.write(PLACE, table[:0])
    assert photos.read(PLACE).empty


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id,path", "name,path"),
        ("cat.2,", "cat.1,"),
        (",cat,cat.1,0,7", ",cat,cat.1,3,7"),
    ],
)
@pytest.mark.parametrize("rows", [1, 100])
def test_a_table_that_is_not_as_it_was_written_is_refused(monkeypatch, rows, old, new):
    monkeypatch.setattr(photos, "PART", rows)
    PLACE.table.write_text(TEXT.replace(old, new))
    with pytest.raises(UserError, match="Run `make data` again"):
        photos.read(PLACE, ["path"])
