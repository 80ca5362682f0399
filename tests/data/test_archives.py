"""Archives are unpacked whole, however nested, or refused; never outside their folder."""

import contextlib
import gzip
import hashlib
import io
import platform
import random
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from dogs_vs_cats.data import archives
from dogs_vs_cats.errors import UserError
from support.pictures import kaggle_folder


def zipped(folder, name=None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent if name is None else folder))
    return buffer.getvalue()


@pytest.fixture
def nested(tmp_path):
    """A zip of train.zip and test.zip, as Kaggle's 'download all' gives."""
    source = kaggle_folder(tmp_path / "source", each=2, tests=2)
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "train", "test":
            archive.writestr(f"{name}.zip", zipped(source / name))
        archive.writestr("sample_submission.csv", "id,label\n1,0.5\n2,0.5\n")
    return path


def listing(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_zips_in_zips_are_unpacked_and_the_archive_is_left_alone(tmp_path, nested):
    before = hashlib.sha256(nested.read_bytes()).hexdigest()
    archives.unpack(nested, tmp_path / "out")
    names = set(listing(tmp_path / "out"))
    assert {"train/train/cat.0.jpg", "test/test/2.jpg", "sample_submission.csv"} <= names
    assert not any(name.endswith(".zip") for name in names)
    assert hashlib.sha256(nested.read_bytes()).hexdigest() == before


def test_unpacking_again_repairs_damaged_files_and_keeps_the_rest(tmp_path, nested):
    out = tmp_path / "out"
    archives.unpack(nested, out)
    first = listing(out)
    kept = (out / "test/test/1.jpg").stat().st_mtime_ns
    damaged = out / "train/train/cat.0.jpg"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    (out / "train/train/stray.jpg").write_bytes(b"not in the archive")
    archives.unpack(nested, out)
    assert listing(out) == first
    assert (out / "test/test/1.jpg").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/evil.jpg", "a/../../evil.jpg", "C:\\evil.jpg"]
)
def test_a_path_that_escapes_is_refused_before_anything_is_written(tmp_path, name):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/cat.0.jpg", b"x")
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"x")
    with pytest.raises(UserError, match="lead out of its folder"):
        archives.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_whole_zip_is_named_for_what_it_is(tmp_path, nested):
    data = nested.read_bytes()
    cases = {
        "cut short": data[: len(data) // 2],
        "web page": b"<!DOCTYPE html><html>Sign in</html>",
        "not a zip file": b"\0" * 500,
    }
    for words, content in cases.items():
        path = tmp_path / "bad.zip"
        path.write_bytes(content)
        with pytest.raises(UserError, match=words):
            archives.unpack(path, tmp_path / "out")


def test_a_bad_crc_names_the_file_and_leaves_no_half_of_it(tmp_path):
    source = kaggle_folder(tmp_path / "source", each=2)
    data = bytearray(zipped(source / "train"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = archive.infolist()[1]
    data[member.header_offset + 300] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"train/cat\.1\.jpg in bad\.zip is damaged"):
        archives.unpack(tmp_path / "bad.zip", tmp_path / "out")
    assert not any("cat.1" in name for name in listing(tmp_path / "out"))


def raw_zip(*entries: dict) -> bytes:
    """Return a zip whose entries are as given, right or wrong.

    name: bytes. data: stored. flags, method, attributes, size, crc: as the directory has them.
    header: the name in the entry's own header, if it is another.
    """
    body, directory = b"", b""
    for entry in entries:
        name, data = entry["name"], entry.get("data", b"")
        header = entry.get("header", name)
        fields = struct.pack(
            "<HHHHHIII",
            20,
            entry.get("flags", 0),
            entry.get("method", 0),
            0,
            0x21,
            entry.get("crc", zlib.crc32(data)),
            len(data),
            entry.get("size", len(data)),
        )
        extra = entry.get("extra", b"")
        at = len(body)
        body += b"PK\3\4" + fields + struct.pack("<HH", len(header), 0) + header + data
        directory += b"PK\1\2" + struct.pack("<H", 20) + fields
        directory += struct.pack("<HHHHH", len(name), len(extra), 0, 0, 0)
        directory += struct.pack("<II", entry.get("attributes", 0), at) + name + extra
    count = len(entries)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def raw_tar(*members: tuple[str, bytes | None, dict], mode: str = "w") -> bytes:
    """Return a tar; members: name, bytes, and attributes of its TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data, attributes in members:
            info = tarfile.TarInfo(name)
            info.size = len(data or b"")
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data or b""))
    return buffer.getvalue()


def unpacked_to(folder: Path, content: bytes, name: str = "photos.zip") -> dict[str, bytes]:
    """Unpack an archive with these bytes to folder/out; return what is there."""
    (folder / name).write_bytes(content)
    archives.unpack(folder / name, folder / "out")
    return listing(folder / "out")


FOLDER = 0x10  # an attribute of MS-DOS
PAIR = {"train/cat.0.jpg": b"cat", "train/dog.0.jpg": b"dog"}
WINDOWS = {
    "with backslashes": [{"name": b"train\\", "attributes": FOLDER}],
    "with slashes": [{"name": b"train/", "attributes": FOLDER}],
    "by their attribute": [{"name": b"train", "attributes": FOLDER}],
    "as empty files": [{"name": b"train"}],
    "twice": [{"name": b"train\\"}, {"name": b"train/"}],
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_zip_of_windows_with_backslashes_and_folder_entries_is_unpacked(tmp_path, case):
    photos = [{"name": name.replace("/", "\\").encode(), "data": x} for name, x in PAIR.items()]
    assert unpacked_to(tmp_path, raw_zip(*WINDOWS[case], *photos)) == PAIR
    assert unpacked_to(tmp_path, raw_zip(*photos, *WINDOWS[case])) == PAIR


def test_a_name_that_is_written_otherwise_in_its_header_is_no_damage(tmp_path):
    content = raw_zip(
        {"name": b"train\\cat.0.jpg", "header": b"train/cat.0.jpg", "data": b"cat"},
        {"name": "train/ö.jpg".encode("cp437"), "header": "train/ö.jpg".encode(), "data": b"dog"},
    )
    assert unpacked_to(tmp_path, content) == {"train/cat.0.jpg": b"cat", "train/ö.jpg": b"dog"}


@pytest.mark.parametrize("before", [{"train": b"file"}, {"train/cat.0.jpg/x/y": b"folders"}])
def test_what_an_earlier_archive_left_is_in_nobodys_way(tmp_path, before):
    """Files where folders are needed, and the reverse; and those of an unpacking that failed."""
    old = [{"name": name.encode(), "data": data} for name, data in before.items()]
    new = [{"name": name.encode(), "data": data} for name, data in PAIR.items()]
    assert unpacked_to(tmp_path, raw_zip(*old)) == before
    assert unpacked_to(tmp_path, raw_zip(*new)) == PAIR
    with pytest.raises(UserError, match="is damaged"):
        unpacked_to(tmp_path, raw_zip(*old, {"name": b"z", "data": b"zz", "crc": 1}))
    assert listing(tmp_path / "out").items() >= before.items()
    assert unpacked_to(tmp_path, raw_zip(*new)) == PAIR


def test_links_on_the_disk_are_replaced_and_what_they_lead_to_is_kept(tmp_path):
    far = tmp_path / "far"
    far.mkdir()
    (far / "mine.jpg").write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/train").symlink_to(far)
    (tmp_path / "out/test").symlink_to(far)
    for name in "a.jpg", ".part":
        (tmp_path / "out" / name).symlink_to(far / "mine.jpg")
    photos = {**PAIR, "a.jpg": b"cat"}
    content = raw_zip(*({"name": name.encode(), "data": data} for name, data in photos.items()))
    assert unpacked_to(tmp_path, content) == photos
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert listing(far) == {"mine.jpg": b"mine"}


NAMES = {
    "UTF-8 without the flag": ("猫/ß.jpg".encode(), "猫/ß.jpg"),
    "UTF-8 with backslashes": ("猫\\ß.jpg".encode(), "猫/ß.jpg"),
    "cp437": ("Kätze/1.jpg".encode("cp437"), "Kätze/1.jpg"),
    "GBK": ("狗/1.jpg".encode("gbk"), "狗/1.jpg".encode("gbk").decode("cp437")),
    "GBK with a backslash": ("狗\\1.jpg".encode("gbk"), "狗/1.jpg".encode("gbk").decode("cp437")),
    "half a character": (
        "表.jpg".encode("shift-jis"),
        "表.jpg".encode("shift-jis").decode("cp437"),
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_is_utf8_or_cp437_and_one_line_shows_which(tmp_path, capsys, case):
    raw, name = NAMES[case]
    photos = [{"name": x, "data": x} for x in (raw, raw + b".2.jpg")]
    assert unpacked_to(tmp_path, raw_zip(*photos)) == {name: raw, f"{name}.2.jpg": raw + b".2.jpg"}
    said = capsys.readouterr().out
    assert said.count("\n") == (0 if "UTF-8" in case else 1)
    assert "UTF-8" in case or repr(name) in said


def test_the_format_s_own_field_for_a_unicode_name_counts(tmp_path):
    raw, name = "猫.jpg".encode("gbk"), "猫.jpg"
    data = b"\1" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    extra = struct.pack("<HH", 0x7075, len(data)) + data
    assert unpacked_to(tmp_path, raw_zip({"name": raw, "extra": extra})) == {name: b""}


MERGED = {
    "either slash": [{"name": b"a/b.jpg", "data": b"1"}, {"name": b"a\\b.jpg", "data": b"2"}],
    "a dot": [{"name": b"a/b.jpg", "data": b"1"}, {"name": b"./a//b.jpg", "data": b"2"}],
    "one name twice": [{"name": b"a", "data": b"1"}, {"name": b"a", "data": b"2"}],
    "a file and a folder": [{"name": b"a/b.jpg", "data": b"1"}, {"name": b"a", "data": b"2"}],
    "the reverse": [{"name": b"a", "data": b"1"}, {"name": b"a/b.jpg", "data": b"2"}],
    "two encodings": [
        {"name": "ö.jpg".encode(), "data": b"1"},
        {"name": "ö.jpg".encode("cp437"), "data": b"2"},
    ],
    "an archive of that name": [
        {"name": b"a/b.jpg", "data": b"1"},
        {"name": b"a.zip", "data": raw_zip({"name": b"b.jpg", "data": b"2"})},
    ],
}


@pytest.mark.parametrize("case", MERGED)
def test_two_files_are_never_merged(tmp_path, case):
    with pytest.raises(UserError, match="would be unpacked to the same place"):
        unpacked_to(tmp_path, raw_zip(*MERGED[case]))
    same = [{**entry, "data": b"1"} for entry in MERGED["one name twice"]]
    assert unpacked_to(tmp_path, raw_zip(*same)) == {"a": b"1"}


CAUSES = {
    "Deflate64": (raw_zip({"name": b"a.jpg", "method": 9}), "Deflate64"),
    "encrypted": (raw_zip({"name": b"a.jpg", "flags": 1}), "is encrypted"),
    "encrypted by AES": (raw_zip({"name": b"a.jpg", "flags": 1, "method": 99}), "is encrypted"),
    "Zstandard in a zip": (raw_zip({"name": b"a.jpg", "method": 93}), "Zstandard"),
    "RAR": (b"Rar!\x1a\7\1\0" + bytes(99), "a RAR archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "a 7-Zip archive"),
    "zst": (b"\x28\xb5\x2f\xfd" + bytes(99), "Zstandard"),
    "one compressed file": (gzip.compress(b"photo" * 500), "one compressed file"),
    "no UTF-8": (raw_zip({"name": b"\xff.jpg", "flags": 0x800}), "not UTF-8, though it says so"),
    "a long name": (raw_zip({"name": b"\xe9" * 200 + b".jpg"}), "too long for a file"),
}


@pytest.mark.parametrize("case", CAUSES)
def test_what_cannot_be_unpacked_here_is_named_with_what_to_do(tmp_path, case):
    content, cause = CAUSES[case]
    with pytest.raises(UserError, match=f"{cause}.*Unpack it .* give the folder") as error:
        unpacked_to(tmp_path, content)
    assert "\n" not in str(error.value)
    assert "damaged" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_part_of_a_split_zip_is_named_for_what_it_is(tmp_path, nested):
    (tmp_path / "photos.z01").write_bytes(nested.read_bytes()[:2000])
    with pytest.raises(UserError, match="a part of a split zip"):
        unpacked_to(tmp_path, nested.read_bytes()[2000:-30] + b"PK\5\6")


TARS = {"w": "photos.tar", "w:gz": "photos.tar.gz", "w:bz2": "a.tar.bz2", "w:xz": "a.tar.xz"}


@pytest.mark.parametrize("mode", TARS)
def test_a_tar_is_unpacked_however_it_is_compressed(tmp_path, nested, mode):
    members = [(f"./{name}", data, {}) for name, data in PAIR.items()]
    folder = ("train", None, {"type": tarfile.DIRTYPE})
    old = ("./train/cat.0.jpg", b"old", {})
    linked = ("train/same.jpg", None, {"type": tarfile.SYMTYPE, "linkname": "cat.0.jpg"})
    mac = ("._train.zip", b"x", {}), ("__MACOSX/a.jpg", b"x", {})
    zipped = ("all.zip", nested.read_bytes(), {})
    content = raw_tar(folder, old, *members, linked, *mac, zipped, mode=mode)
    found = unpacked_to(tmp_path, content, TARS[mode])
    expected = {**PAIR, "train/same.jpg": b"cat"}
    assert {x: y for x, y in found.items() if not x.startswith("all/")} == expected
    assert "all/train/train/cat.0.jpg" in found
    path = tmp_path / "out/train/dog.0.jpg"
    kept = path.stat().st_mtime_ns
    assert unpacked_to(tmp_path, content, TARS[mode]) == found
    assert path.stat().st_mtime_ns == kept
    for end in len(content) // 4, len(content) // 2:
        with pytest.raises(UserError, match=r"cut short|is damaged"):
            unpacked_to(tmp_path, content[:end], TARS[mode])


def test_a_python_without_safe_unpacking_names_what_a_tar_needs(tmp_path, monkeypatch):
    """As 3.11.2, which Debian 12 has."""
    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.2")
    content = raw_tar(*((name, data, {}) for name, data in PAIR.items()))
    with pytest.raises(UserError, match=r"from 3\.11\.4 on, and this is 3\.11\.2\. Unpack it"):
        unpacked_to(tmp_path, content, "photos.tar")
    assert not (tmp_path / "out").exists()


def test_a_tar_that_ends_too_early_or_has_a_damaged_header_loses_no_photo_in_silence(tmp_path):
    content = raw_tar(*((name, data, {}) for name, data in PAIR.items()))
    with pytest.raises(UserError, match="cut short or damaged"):
        unpacked_to(tmp_path, content[: 2 * 512])
    damaged = bytearray(content)
    damaged[2 * 512 + 5] ^= 1
    with pytest.raises(UserError, match="cut short or damaged"):
        unpacked_to(tmp_path, bytes(damaged))


LINK = {"type": tarfile.SYMTYPE}
LEADING_OUT = {
    "above": ("../evil.jpg", b"x", {}),
    "absolute": ("/tmp/evil.jpg", b"x", {}),
    "a link above": ("a.jpg", None, LINK | {"linkname": "../far/mine.jpg"}),
    "an absolute link": ("a.jpg", None, LINK | {"linkname": "/etc/passwd"}),
    "a hard link above": ("a.jpg", None, {"type": tarfile.LNKTYPE, "linkname": "../far/mine.jpg"}),
    "a link to nothing": ("a.jpg", None, LINK | {"linkname": "gone.jpg"}),
    "a link to itself": ("a.jpg", None, LINK | {"linkname": "a.jpg"}),
    "a link to the folder above": ("train", None, LINK | {"linkname": ".."}),
    "a pipe": ("a.jpg", None, {"type": tarfile.FIFOTYPE}),
}


@pytest.mark.parametrize("case", LEADING_OUT)
def test_a_tar_that_leads_out_is_refused_before_anything_is_written(tmp_path, case):
    with pytest.raises(UserError, match="Nothing was unpacked"):
        unpacked_to(tmp_path, raw_tar(("train/cat.0.jpg", b"cat", {}), LEADING_OUT[case]))
    assert not (tmp_path / "out").exists()


PARTS = [
    b"train",
    b"cat.0.jpg",
    b"a",
    b"a.zip",
    b"..",
    b".",
    b"",
    b" ",
    b"C:",
    b"__MACOSX",
    b".part",
]
PARTS += [b"\xff\xfe", b"\x95\x5c", "ü".encode(), b"x" * 300, b"\0", b"\n", b"._a", b"@eaDir"]


def odd_zip(rng: random.Random, depth: int = 2) -> bytes:
    """Return a zip with odd entries, sometimes with some bytes changed or cut off."""
    entries = []
    for _ in range(rng.randint(0, 5)):
        parts = rng.choices(PARTS, [9] * 3 + [1] * (len(PARTS) - 3), k=rng.randint(1, 4))
        entry: dict = {
            "name": rng.choice([b"/", b"/", b"\\"]).join(parts),
            "data": rng.randbytes(9),
        }
        if entry["name"].endswith(b".zip") and depth:
            entry["data"] = odd_zip(rng, depth - 1)
        odd = {
            "flags": [0x800, 1, 8],
            "method": [8, 9, 12, 14, 93],
            "attributes": [FOLDER, 0xA1FF << 16],
            "size": [0, 10**6, 2**32 - 1],
            "crc": [0],
            "header": [b"", b"other"],
            "extra": [b"\1\0\x10\0", b"\x75\x70\5\0\1", rng.randbytes(7)],
        }
        entries.append(entry | {x: rng.choice(odd[x]) for x in odd if rng.random() < 0.04})
    content = bytearray(raw_zip(*entries))
    if rng.random() < 0.3:
        content[rng.randrange(len(content))] ^= rng.randrange(256)
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)


def odd_tar(rng: random.Random) -> bytes:
    members = []
    for _ in range(rng.randint(0, 4)):
        name = b"/".join(rng.choices(PARTS, k=rng.randint(1, 3))).replace(b"\0", b"0")
        odd = {
            "type": [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
            "linkname": ["a", "../..", "/etc/passwd", "train"],
        }
        attributes = {x: rng.choice(odd[x]) for x in odd if rng.random() < 0.2}
        members.append((name.decode(errors="surrogateescape"), rng.randbytes(9), attributes))
    mode = rng.choice(["w", "w:gz", "w:bz2", "w:xz"])
    content = bytearray(raw_tar(*members, mode=mode))
    for _ in range(rng.choice([0, 0, 1, 3])):
        content[rng.randrange(min(len(content), 2048))] ^= rng.randrange(256)
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)


@pytest.mark.parametrize(("made", "rounds"), [(odd_zip, 200), (odd_tar, 80)])
def test_any_archive_is_understood_or_refused_in_one_line(tmp_path, made, rounds):
    rng = random.Random(17)
    (tmp_path / "far").mkdir()
    good = raw_zip(*({"name": name.encode(), "data": data} for name, data in PAIR.items()))
    understood = 0
    for number in range(rounds):
        content = made(rng)
        with contextlib.suppress(UserError):
            found = unpacked_to(tmp_path, content)
            understood += 1
            assert not any(".part" in name or ".zip-" in name for name in found), number
        assert sorted(x.name for x in tmp_path.iterdir()) in (
            ["far", "out", "photos.zip"],
            ["far", "photos.zip"],
        ), number
        assert not any((tmp_path / "far").iterdir()), number
        if number % 10 == 0:
            assert unpacked_to(tmp_path, good, "photos.zip") == PAIR, number
    assert rounds / 10 < understood < rounds * 9 / 10
