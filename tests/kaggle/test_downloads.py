"""Downloads from real servers on loopback, some of them poor ones."""

import functools
import os
import random
import shutil
import zipfile
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import downloads, retries, transfer
from dogs_vs_cats.kaggle.transfer import DamagedError
from support.servers import scripted, serving

DATA = random.Random(3).randbytes(300_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("KAGGLE_TIMEOUT", "1")
    monkeypatch.setenv("KAGGLE_PATIENCE", "3")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def fetch(url: str, path: Path, size: int | None = None) -> None:
    transfer.fetch(lambda: url, path, size)


WHOLE = {"Content-Length": str(len(DATA)), "ETag": '"one"'}


def rest(start: int, total: int = len(DATA)) -> dict:
    return {"Content-Range": f"bytes {start}-{total - 1}/{total}"}


def test_a_cut_download_asks_for_the_rest_of_the_same_file(tmp_path):
    handler = scripted((200, WHOLE, DATA[:1000]), (206, rest(1000), DATA[1000:]))
    with serving(handler) as url:
        fetch(url, tmp_path / "file.bin", len(DATA))
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert handler.asked[1] == ("/file.bin", "bytes=1000-", '"one"')
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_weak_etag_is_no_reason_to_add_bytes_but_a_time_is(tmp_path):
    weak = {"Content-Length": str(len(DATA)), "ETag": 'W/"one"'}
    for more, asked in (({}, None), ({"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon")):
        handler = scripted((200, weak | more, DATA[:1000]), (200, weak, DATA))
        with serving(handler) as url:
            fetch(url, tmp_path / "file.bin")
        assert (tmp_path / "file.bin").read_bytes() == DATA
        assert (handler.asked[1][2] or "None").startswith(asked or "None")


@pytest.mark.parametrize(
    "answer",
    [
        (206, rest(999), DATA[999:]),
        (206, rest(1000, len(DATA) + 1), DATA[1000:] + b"x"),
        (206, {}, DATA[1000:]),
        (204, {}, b""),
        (416, {}, b""),
    ],
    ids=["other start", "other length", "no range", "no content", "no such range"],
)
def test_bytes_that_are_not_the_next_ones_are_never_added(tmp_path, answer):
    with serving(scripted((200, WHOLE, DATA[:1000]), answer, (200, WHOLE, DATA))) as url:
        fetch(url, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_server_that_knows_no_ranges_starts_again(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file.bin").write_bytes(DATA)
    stamp = (tmp_path / "there" / "file.bin").stat()
    (tmp_path / "file.bin.part").write_bytes(DATA[:1000])
    (tmp_path / "file.bin.part.json").write_text(
        f'{{"validator": "{stamp.st_mtime}", "size": {len(DATA)}}}'
    )
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / "there")
    with serving(handler) as url:
        fetch(url, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_part_whose_origin_is_unknown_is_not_added_to(tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    handler = scripted((200, WHOLE, DATA))
    with serving(handler) as url:
        fetch(url, tmp_path / "file.bin")
    assert handler.asked[0][1] is None
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_file_of_unknown_length_is_taken_to_its_end(tmp_path):
    with serving(scripted((200, {}, DATA))) as url:
        fetch(url, tmp_path / "file.bin", len(DATA))
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_another_size_than_expected_is_refused_before_it_comes(tmp_path):
    with (
        serving(scripted((200, WHOLE, DATA))) as url,
        pytest.raises(DamagedError, match=r"file.bin has 300,000 bytes instead of 5"),
    ):
        fetch(url, tmp_path / "file.bin", 5)
    assert os.listdir(tmp_path) == []


def test_a_page_that_is_gone_is_reported_at_once(tmp_path):
    handler = scripted((404, {}, b"gone"))
    with serving(handler) as url, pytest.raises(UserError, match="404, Not Found"):
        fetch(url, tmp_path / "file.bin")
    assert len(handler.asked) == 1


def test_only_the_web_is_downloaded_from(tmp_path):
    (tmp_path / "secret").write_bytes(DATA)
    with pytest.raises(UserError, match="no web address"):
        fetch((tmp_path / "secret").as_uri(), tmp_path / "file.bin")


def test_the_proxy_of_the_environment_is_used(tmp_path, monkeypatch):
    handler = scripted((200, WHOLE, DATA))
    with serving(handler) as url:
        monkeypatch.setenv("http_proxy", url.rpartition("/")[0])
        monkeypatch.setenv("no_proxy", "")
        fetch("http://files.example/file.bin", tmp_path / "file.bin")
    assert handler.asked[0][0] == "http://files.example/file.bin"


def test_each_try_asks_for_a_fresh_address(tmp_path):
    handler = scripted((200, WHOLE, DATA[:1000]), (206, rest(1000), DATA[1000:]))
    with serving(handler) as url:
        addresses = iter([f"{url}?signature=1", f"{url}?signature=2"])
        transfer.fetch(lambda: next(addresses), tmp_path / "file.bin")
    assert [path for path, _, _ in handler.asked] == [
        "/file.bin?signature=1",
        "/file.bin?signature=2",
    ]


def test_a_full_disk_is_no_broken_connection(tmp_path):
    (tmp_path / "file.bin.part").symlink_to("/dev/full")
    with serving(scripted((200, WHOLE, DATA))) as url, pytest.raises(OSError, match="No space"):
        fetch(url, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()


# Zips


def make_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"Cat/{number}.jpg", DATA[number * 1000 :][:20_000])
    return path


def test_a_whole_zip_passes(tmp_path):
    path = make_zip(tmp_path / "good.zip")
    downloads.check_zip(path)
    downloads.check_zip(path, path.stat().st_size)


@pytest.mark.parametrize("seed", range(10))
def test_a_zip_cut_anywhere_is_damaged(tmp_path, seed):
    path = make_zip(tmp_path / "cut.zip")
    os.truncate(path, random.Random(seed).randrange(path.stat().st_size))
    with pytest.raises(DamagedError, match=r"cut\.zip"):
        downloads.check_zip(path)


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "an empty file"),
        (b"  <!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"PK\x05\x06" + bytes(18), "an empty zip"),
        (DATA, "not a whole zip file"),
    ],
)
def test_what_is_no_zip_is_reported(tmp_path, content, received):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DamagedError, match=received):
        downloads.check_zip(tmp_path / "a.zip")


def test_a_zip_of_another_size_is_damaged(tmp_path):
    with pytest.raises(DamagedError, match="bytes instead of 7"):
        downloads.check_zip(make_zip(tmp_path / "a.zip"), 7)


def test_a_zip_is_obtained_once_and_a_bad_one_is_replaced(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    good = make_zip(there / "file.bin").read_bytes()
    path = tmp_path / "photos.zip"
    path.write_bytes(bytes(len(good)))
    with serving(functools.partial(SimpleHTTPRequestHandler, directory=there)) as url:
        assert downloads.obtain(lambda: url, path).read_bytes() == good
        shutil.rmtree(there)
        assert downloads.obtain(lambda: url, path).read_bytes() == good
    assert downloads.checked(path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("", None), ("7", 7), ("soon", None), ("Mon, 01 Jan 2024 00:00:00 GMT", 0)],
)
def test_retry_after_is_a_number_or_a_date(text, seconds):
    assert retries.retry_after(text) == seconds
