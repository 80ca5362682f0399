"""Names in groups.csv and verdicts.csv: the photo that is meant, or one line that says why not."""

import csv
import io
import random
import unicodedata
from pathlib import Path

import pytest
from test_archives import raw_zip

from dogs_vs_cats.data import archives, groups_csv, verdicts
from dogs_vs_cats.data.photo_names import PhotoNames
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

COMPOSED, APART = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
WORKSPACE = Workspace("source")
CLASSES = [COMPOSED, "dog"]
IDS = ["cat.0", "dog/1", f"{APART}/{APART} 1", "dog/a, b", "7"]
PATHS = ["train/cat.0.jpg", "dog/1.jpg", f"{APART}/{APART} 1.jpg", "dog/a, b.jpg", "test/7.jpg"]


def find(name: str, base: Path = Path("source")) -> list[int]:
    return PhotoNames(IDS, PATHS, base).find(name)


@pytest.mark.parametrize(
    ("photo", "names"),
    [
        (0, ["cat.0", "cat.0.jpg", "train/cat.0.jpg", "source/train/cat.0.jpg", "./cat.0.jpg"]),
        (0, ["train\\cat.0.jpg", ".\\train\\cat.0.jpg", "source\\train\\cat.0.jpg"]),
        (1, ["dog/1", "dog\\1", "1.jpg", "dog\\1.jpg"]),
        (2, [f"{form}{slash}{form} 1{end}" for form in (COMPOSED, APART) for slash in "/\\"
             for end in ("", ".jpg")]),
        (2, [f"{COMPOSED} 1.jpg", f"{APART} 1.jpg", f"{COMPOSED}/{APART} 1.jpg"]),
        (4, ["7", "7.jpg"]),
    ],
)  # fmt: skip
def test_a_photo_is_found_by_id_file_name_and_path_in_any_form(here, photo, names):
    for name in names:
        assert find(name) == [photo], name
    assert find(str(here / "source" / PATHS[photo])) == [photo]
    assert find(str(here / "elsewhere" / PATHS[photo])) == []


@pytest.mark.parametrize("name", ["", ".", "/", "\\", "jpg", "at.0.jpg", "0.jpg", "dog", "8"])
def test_a_name_that_no_photo_has_finds_none(name):
    assert find(name) == []


def test_names_that_differ_only_in_form_stay_apart_where_they_are_written_exactly():
    paths = [f"a/{COMPOSED}.jpg", f"a/{APART}.jpg", "b/x\\y.jpg", "b/x/y.jpg"]
    names = PhotoNames(["1", "2", "3", "4"], paths, Path())
    for position, path in enumerate(paths):
        assert names.find(path) == [position]
    assert names.find(f"a\\{COMPOSED}.jpg") == [0, 1]
    assert names.find("b\\x/y.jpg") == [2, 3]


def listed(text: str) -> list[str]:
    Path("groups.csv").write_text(text, encoding="utf-8")
    folder = Path("source")
    return groups_csv.read(Path("groups.csv"), folder, [folder / path for path in PATHS], IDS)


def test_groups_csv_takes_all_of_them_and_a_group_has_one_name_in_both_forms(here):
    rows = f"cat.0,{COMPOSED}\ndog\\1.jpg,{APART}\n{COMPOSED} 1.jpg,x\ncat.0.jpg,{APART}\n7,y\n"
    assert listed(f"photo,group\n{rows}") == [COMPOSED, COMPOSED, "x", "", "y"]


def decided(text: str) -> dict[str, verdicts.Verdict]:
    """Return what verdicts.csv decides on the photos above, of which the last is a test photo."""
    import pandas as pd

    WORKSPACE.data.mkdir(parents=True, exist_ok=True)
    labels = ["cat", "dog", COMPOSED, "dog", ""]
    rows = [(*row, "") for row in zip(IDS, PATHS, labels, strict=True)]
    table = pd.DataFrame(rows, columns=["id", "path", "label", "problem"])
    table.to_csv(WORKSPACE.table, index=False)
    WORKSPACE.verdicts.write_text(text, encoding="utf-8")
    return verdicts.read(WORKSPACE, table, CLASSES)


HEADER = "photo,verdict,why\n"


def test_verdicts_csv_takes_all_of_them_and_a_class_in_either_form(here):
    by_id = f"cat.0,drop,\ndog/1,{COMPOSED},\n{IDS[2]},dog,\n"
    by_other_names = f"train\\cat.0.jpg,drop,\n1.jpg,{APART},\n{COMPOSED} 1.jpg,dog,\n"
    expected = {"cat.0": "drop", "dog/1": COMPOSED, IDS[2]: "dog"}
    for text in by_id, by_other_names:
        assert {x: y.verdict for x, y in decided(HEADER + text).items()} == expected
        assert verdicts.changes(WORKSPACE).keys() == expected.keys()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("cat.0,drop,\ncat.0.jpg,dog,\n", "two verdicts on 'cat.0', in lines 2 and 3"),
        ("cats/cat.0.jpg,drop,\n", "names 'cats/cat.0.jpg', which is no photo"),
        ("7,dog,\n", "names '7', a test photo"),
        ("test/7.jpg,dog,\n", "names 'test/7.jpg', which is no photo"),
    ],
)
def test_a_wrong_name_is_quoted_as_it_was_written(here, rows, words):
    with pytest.raises(UserError) as error:
        decided(HEADER + rows)
    assert words in str(error.value)


def test_a_name_that_may_be_two_photos_is_refused(here, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PATHS", ["a/1.jpg", "b/1.jpg", *PATHS[2:]])
    with pytest.raises(UserError, match=r"'1.jpg', which may be cat.0 or dog/1. Write its id"):
        decided(HEADER + "1.jpg,drop,\n")


def cell(noise: random.Random, words: list[str]) -> str:
    """Return a cell like those in `words`: spoiled, in another form, or as it is."""
    text = noise.choice(words)
    for _ in range(noise.choice([0, 0, 0, 1, 2])):
        at = noise.randrange(len(text) + 1)
        bit = noise.choice([*" ,;\"'\n\r\t\0\\/.\ufeff\u0301\u00e9\u200b\udce9", "..", "\r\n"])
        text = text[:at] + bit + text[at + noise.choice([0, 1]) :]
    return unicodedata.normalize(noise.choice(["NFC", "NFD"]), text)


def spoiled(noise: random.Random, header: list[str], words: list[list[str]]) -> bytes:
    """Return a CSV of a few rows with odd cells, quoted as they should be or not."""
    text = io.StringIO()
    quoting = noise.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(text, quoting=quoting, lineterminator=noise.choice(["\n", "\r\n"]))
    writer.writerow(header)
    writer.writerows([cell(noise, column) for column in words] for _ in range(noise.randint(1, 2)))
    whole = text.getvalue()
    if noise.random() < 0.2:
        at = noise.randrange(len(whole))
        whole = whole[:at] + noise.choice(['"', ",", "\n", "\r", "\0", ""]) + whole[at + 1 :]
    encoding = noise.choice(["utf-8"] * 8 + ["utf-8-sig", "utf-16"])
    return whole.encode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")


def test_any_cell_is_understood_or_refused_in_one_line(here):
    import pandas as pd

    decided(HEADER)
    table = pd.DataFrame(
        [(*row, "") for row in zip(IDS, PATHS, ["cat", "dog", COMPOSED, "dog", ""], strict=True)],
        columns=["id", "path", "label", "problem"],
    )
    folder, photos = Path("source"), [Path("source", path) for path in PATHS]
    understood, said = {"groups": 0, "verdicts": 0}, []
    for seed in range(200):
        noise = random.Random(seed)
        Path("groups.csv").write_bytes(spoiled(noise, groups_csv.COLUMNS, [IDS + PATHS, ["x"]]))
        columns = [IDS[:4] + PATHS[:4], ["drop", "keep", "dog", COMPOSED], ["why", ""]]
        WORKSPACE.verdicts.write_bytes(spoiled(noise, verdicts.COLUMNS, columns))
        try:
            groups = groups_csv.read(Path("groups.csv"), folder, photos, IDS)
            assert len(groups) == len(IDS)
            understood["groups"] += 1
        except UserError as error:
            said.append("groups.csv" in str(error))
        try:
            ids = verdicts.read(WORKSPACE, table, CLASSES)
            assert set(ids) <= set(IDS[:4])
            assert verdicts.changes(WORKSPACE).keys() <= ids.keys()
            understood["verdicts"] += 1
        except UserError as error:
            said.append("verdicts.csv" in str(error))
    assert min(understood.values()) > 30, understood
    assert all(said)


# Of each encoding, characters with bytes that are letters, accents or slashes in another one.
LETTERS = {
    "cp437": "\u00e4\u00e9\u00c5\u00df\u03c0",
    "gbk": "\u72d7\u732b\u56fe\u8868\u4e00",
    "shift-jis": "\u72ac\u732b\u8868\u5341\u30bd",
    "utf-8": "\u732b\u00e9\u0301",
}


def zipped(noise: random.Random) -> dict[bytes, str]:
    """Return names of photos in a zip, as bytes, and the encoding of each."""
    names = {}
    for _ in range(6):
        encoding = noise.choice(list(LETTERS))
        parts = ["".join(noise.choices(LETTERS[encoding], k=noise.randint(1, 3))) for _ in "ab"]
        names[f"{noise.choice('/' + chr(92)).join(parts)}.jpg".encode(encoding)] = encoding
    return names


def test_names_from_a_zip_in_any_encoding_are_those_photos(here):
    """As unpacked, in groups.csv and verdicts.csv, whatever the slash and the Unicode form."""
    import pandas as pd

    folder, understood = Path("source"), 0
    refused: list[str] = []
    others: list[str] = []
    for seed in range(12):
        noise = random.Random(seed)
        names = zipped(noise)
        Path("a.zip").write_bytes(raw_zip(*({"name": raw, "data": raw} for raw in names)))
        archives.unpack(Path("a.zip"), folder)
        photos = sorted(path for path in folder.rglob("*") if path.is_file())
        raws = [path.read_bytes() for path in photos]
        assert sorted(raws) == sorted(names), "no two are merged"
        paths = [str(path.relative_to(folder)) for path in photos]
        ids = [path.removesuffix(".jpg") for path in paths]
        rows = [(*row, "cat", "") for row in zip(ids, paths, strict=True)]
        table = pd.DataFrame(rows, columns=["id", "path", "label", "problem"])
        WORKSPACE.data.mkdir(parents=True, exist_ok=True)
        table.to_csv(WORKSPACE.table, index=False)
        for at, raw in enumerate(raws):
            one = [x if i == at else "" for i, x in enumerate("x" * len(raws))]
            forms = [ids[at], paths[at], photos[at].name]
            forms += [unicodedata.normalize("NFD", x) for x in forms]
            forms += [x.replace("/", "\\") for x in forms]
            for form in noise.sample(forms, 4):
                Path("groups.csv").write_text(f'photo,group\n"{form}",x\n', encoding="utf-8")
                WORKSPACE.verdicts.write_text(f'{HEADER}"{form}",drop,\n', encoding="utf-8")
                try:
                    assert groups_csv.read(Path("groups.csv"), folder, photos, ids) == one
                    assert list(verdicts.read(WORKSPACE, table, CLASSES)) == [ids[at]]
                    understood += 1
                except UserError as error:
                    refused.append(str(error))
            # In the zip's own encoding it is another text, or none.
            for written in "utf-8", names[raw]:
                text = f'photo,group\n"{raw.decode(names[raw])}",x\n'
                Path("groups.csv").write_bytes(text.encode(written))
                try:
                    assert groups_csv.read(Path("groups.csv"), folder, photos, ids) == one
                except UserError as error:
                    others.append(str(error))
    assert all("which may be" in line for line in refused)
    assert understood > 10 * len(refused), (understood, len(refused))
    assert others
    assert all("which is no photo" in x or "is not UTF-8" in x for x in others)
