"""Photos at URLs: how they are named, what is refused, and what is tried again."""

import errno
import pickle
from pathlib import Path

import pandas as pd
import pytest

from dogs_vs_cats.data import remote, remote_listing, sources, verdicts
from dogs_vs_cats.data.photo_names import PhotoNames
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.data.remote_listing import RemotePath
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

CLASSES = ["cat", "dog"]
SECRET = "wJalrXUtnFEMI"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0.0)


def test_a_path_in_the_table_is_a_file_on_the_disk_or_one_at_a_url():
    assert remote.photo("train/cat.0.jpg") == Path("train/cat.0.jpg")
    url = "s3://pets/train/cat.0.jpg"
    assert remote.photo(url) == RemoteFile(url)
    assert str(remote.photo(url)) == url
    # Other processes read photos too.
    assert pickle.loads(pickle.dumps(remote.photo(url))) == RemoteFile(url)


def test_a_photo_in_a_tar_is_read_from_its_bytes_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(remote, "read", lambda url, span=None: asked.append((url, span)) or b"")
    url = remote.member_url("s3://pets/0001.tar", "a/tar://b::c.jpg", 1536, 100)
    assert url == "tar://a/tar://b::c.jpg::s3://pets/0001.tar#bytes=1536-1635"
    remote.photo(url).read_bytes()
    empty = remote.member_url("s3://pets/0001.tar", "empty.jpg", 512, 0)
    remote.photo(empty).read_bytes()
    assert asked == [
        ("s3://pets/0001.tar", range(1536, 1636)),
        ("s3://pets/0001.tar", range(512, 512)),
    ]
    assert [remote.container(x) for x in (url, "s3://a/b.jpg")] == [
        "s3://pets/0001.tar",
        "s3://a/b.jpg",
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("train/cat.0.jpg", "train/cat.0.jpg"),
        ("s3://pets/train/cat 0%20.jpg", "s3://pets/train/cat 0%20.jpg"),
        ("https://host/my%20cats/0.jpg", "https://host/my cats/0.jpg"),
        ("tar://train/cat.0.jpg::s3://pets/x/0001.tar#bytes=0-9", "s3://pets/x/train/cat.0.jpg"),
        ("tar://a%20.jpg::https://host/my%20x/1.tar#bytes=0-9", "https://host/my x/a%20.jpg"),
    ],
)
def test_a_tar_stands_for_the_files_in_it(path, name):
    assert remote.place(path) == name


def test_a_name_in_verdicts_or_groups_finds_a_photo_in_a_bucket():
    paths = ["s3://pets/train/cat.0.jpg", "s3://pets/train/dog.0.jpg"]
    names = PhotoNames(["cat.0", "dog.0"], paths, Path())
    for name in "dog.0", "dog.0.jpg", "train/dog.0.jpg", paths[1]:
        assert names.find(name) == [1]


def test_a_verdict_may_name_a_photo_in_a_tar_by_its_file(here):
    workspace = Workspace("pets")
    workspace.data.mkdir(parents=True)
    paths = [remote.member_url("s3://pets/0001.tar", f"train/{x}.0.jpg", 0, 9) for x in CLASSES]
    lines = [f"{name}.0,{path},{name},\n" for name, path in zip(CLASSES, paths, strict=True)]
    workspace.table.write_text("id,path,label,problem\n" + "".join(lines))
    workspace.verdicts.write_text("photo,verdict,why\ntrain/dog.0.jpg,drop,\n")
    table = pd.read_csv(workspace.table, keep_default_na=False)
    assert list(verdicts.read(workspace, table, CLASSES)) == ["dog.0"]


def test_places_of_remote_files_keep_the_slashes_of_their_scheme():
    root = RemotePath("s3://pets/photos")
    path = root / "train" / "cat.0.jpg"
    assert str(path) == "s3://pets/photos/train/cat.0.jpg"
    assert (str(path.parent), path.name, path.suffix) == (f"{root}/train", "cat.0.jpg", ".jpg")
    assert str(path.relative_to(root)) == "train/cat.0.jpg"
    assert {path: 1}[RemotePath(str(path))] == 1
    assert sorted([path, root])[0] == root
    assert path.is_relative_to(root)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"s3://AKIA:{SECRET}@pets/photos", "a name or password"),
        (f"https://host/photos?X-Amz-Signature={SECRET}", r"'\?' or '#'"),
        ("ftp://host/photos", r"ftp://; photos are read from s3://, gs://, http://, https://\.$"),
        ("s3://", "names no bucket"),
    ],
)
def test_a_url_that_holds_a_secret_or_cannot_be_read_is_refused(url, reason):
    with pytest.raises(UserError, match=reason) as error:
        sources.parse(url)
    assert SECRET not in str(error.value)


def test_a_url_is_a_source_named_after_its_last_part():
    source = sources.parse("S3://pets/my photos/", "dogs-vs-cats")
    assert (source.kind, source.location) == ("url", "s3://pets/my photos")
    assert (source.name, source.competition) == ("my-photos", "dogs-vs-cats")
    assert sources.parse("s3://pets").name == "pets"


class StatusError(Exception):
    """An HTTP status, as aiohttp raises it."""

    def __init__(self, status: int | None, text: str = "") -> None:
        super().__init__(text)
        self.status = status


@pytest.mark.parametrize(
    "error", [StatusError(503), StatusError(429), StatusError(500), ConnectionResetError()]
)
def test_what_may_pass_is_tried_again_and_then_said(error):
    failures = [error] * (remote.TRIES - 1)

    def call() -> int:
        if failures:
            raise failures.pop()
        return 7

    assert remote.attempt("s3://pets/0.jpg", call) == 7
    failures += [error] * remote.TRIES
    with pytest.raises(UserError, match=rf"^s3://pets/0.jpg can't be read, after {remote.TRIES} "):
        remote.attempt("s3://pets/0.jpg", call)
    assert not failures


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StatusError(403), "may not be read: StatusError. Check the credentials .AWS_PROFILE"),
        (
            PermissionError("Access Denied"),
            r"may not be read: Access Denied\. Check the credentials",
        ),
        (type("NoCredentialsError", (Exception,), {})("none"), "may not be read: none"),
        (StatusError(400, "wrong region"), "can't be read: wrong region.*AWS_REGION"),
    ],
)
def test_what_cannot_pass_is_tried_once(error, message):
    calls = []

    def call() -> None:
        calls.append(1)
        raise error

    with pytest.raises(UserError, match=message):
        remote.attempt("s3://pets/0.jpg", call)
    assert calls == [1]


@pytest.mark.parametrize("error", [StatusError(404), FileNotFoundError("s3://pets/0.jpg")])
def test_what_is_gone_is_missing_as_a_file_on_the_disk_is(error):
    def call() -> None:
        raise error

    with pytest.raises(FileNotFoundError) as missing:
        remote.attempt("s3://pets/0.jpg", call)
    assert (missing.value.errno, missing.value.filename) == (errno.ENOENT, "s3://pets/0.jpg")


def test_a_tar_that_ends_before_a_photo_has_changed():
    def call() -> None:
        raise StatusError(416)

    with pytest.raises(OSError, match="the tar is shorter than when `make data` listed it"):
        remote.attempt("s3://pets/0.tar", call)


def test_a_file_that_fsspec_does_not_find_because_the_server_is_down_is_not_gone():
    def call() -> None:
        raise FileNotFoundError("https://host/0.jpg") from StatusError(503)

    with pytest.raises(UserError, match="throttling"):
        remote.attempt("https://host/0.jpg", call)


def test_no_message_has_the_query_of_a_url():
    def call() -> None:
        raise StatusError(400, f"400, url='https://host/0.jpg?X-Amz-Signature={SECRET}'")

    with pytest.raises(UserError, match=r"url='https://host/0.jpg'\.$"):
        remote.attempt("https://host/0.jpg", call)


def test_the_first_photo_that_is_gone_from_the_disk_is_named(tmp_path):
    (tmp_path / "0.jpg").touch()
    paths = [str(tmp_path / "0.jpg"), str(tmp_path / "1.jpg")]
    assert remote_listing.first_missing(paths) == paths[1]
    assert remote_listing.first_missing(paths[:1]) is None
    assert remote_listing.versions(paths) == {}
