"""Zips are unpacked whole, however nested, or refused; never outside their folder."""

import hashlib
import io
import zipfile

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
