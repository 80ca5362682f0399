"""Photos in a bucket, at moto's server: the same as in a folder, or one line says why not."""

import contextlib
import functools
import hashlib
import http.server
import os
import re
from pathlib import Path

import pytest

from dogs_vs_cats import stages
from dogs_vs_cats.data import photos, pixels, remote, remote_listing, same_picture
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.features import pipeline
from dogs_vs_cats.features.timings import Times
from dogs_vs_cats.report.thumbnails import thumbnail
from dogs_vs_cats.submission import check, preflight
from dogs_vs_cats.workspace import Workspace
from support.buckets import Proxy, delete, moto, proxied, put, tar_of
from support.commands import run_all
from support.pictures import encoded, kaggle_folder, picture
from support.servers import serving

pytestmark = pytest.mark.extra("s3fs")

SECRET = "wJalrXUtnFEMIbPxRfiCY"
SLOW_DOWN = (503, b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>")
DENIED = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
REGION = (
    400,
    b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; "
    b"expecting 'xx'</Message></Error>",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """Photos in Kaggle's layout: path -> bytes. One can't be read; one has no ending."""
    folder = kaggle_folder(tmp_path_factory.mktemp("photos"))
    found = {str(x.relative_to(folder)): x.read_bytes() for x in folder.rglob("*.jpg")}
    found["train/cat.12.jpg"] = b"no photo"
    found["train/dog.12.jpg_large"] = encoded(picture(999))
    return dict(sorted(found.items()))


@pytest.fixture(scope="module")
def server() -> "contextlib.Iterator[str]":
    with moto() as url:
        yield url


@pytest.fixture(scope="module")
def filled(server, files) -> str:
    """The bucket pets: photos below loose/, and the same in three tars below tars/."""
    put(f"{server}/pets")
    for name, data in files.items():
        put(f"{server}/pets/loose/{name}", data)
    for number in range(3):
        part = dict(list(files.items())[number::3])
        put(f"{server}/pets/tars/{number:04}.tar", tar_of(part))
    return server


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Each test begins with nothing listed, as a new process does, and does not wait."""
    remote._filesystem.cache_clear()
    remote_listing.forget()
    monkeypatch.setattr(remote, "PAUSE", 0.01)
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def bucket(filled, monkeypatch) -> "contextlib.Iterator[Proxy]":
    with proxied(filled) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def rows(dataset: str) -> list[str]:
    """Return the lines of photos.csv without their paths."""
    lines = Path("data", dataset, "photos.csv").read_text().splitlines()
    return [",".join(x for i, x in enumerate(line.split(",")) if i != 1) for line in lines]


def paths(dataset: str) -> dict[str, str]:
    lines = Path("data", dataset, "photos.csv").read_text().splitlines()
    return dict(line.split(",")[:2] for line in lines[1:])


def unpack(files: dict[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_loose_and_in_tars_photos_give_the_table_and_the_features_of_a_folder(here, bucket, files):
    unpack(files, here / "folder")
    sources = {"folder": "folder", "loose": "s3://pets/loose/", "tars": "s3://pets/tars"}
    for name, source in sources.items():
        run_all(here, ("data", "--source", source), ("features", "--recipe", "tiny.toml"))
        assert rows(name) == rows("folder")
    assert len(rows("folder")) == 1 + len(files)
    assert paths("loose")["cat.0"] == "s3://pets/loose/train/cat.0.jpg"
    assert paths("tars")["cat.0"].startswith(
        "tar://train/cat.0.jpg::s3://pets/tars/0002.tar#bytes="
    )
    arrays = sorted(x.relative_to("cache/folder") for x in Path("cache/folder").rglob("*.npy"))
    assert len(arrays) == 4
    for name in "loose", "tars":
        for array in arrays:
            assert (
                Path("cache", name, array).read_bytes() == Path("cache/folder", array).read_bytes()
            )
    # A tar is read once for its index; after that a photo is one request for its own bytes.
    spans = [span for path, span in bucket.asked if path.startswith("/pets/tars/")]
    readable = len(files) - 1
    assert len(spans) == 3 + len(files) + readable
    assert None not in spans
    # Nothing of the photos or the credentials is on the disk.
    for path in (x for x in here.rglob("*") if x.is_file() and "folder" not in x.parts):
        data = path.read_bytes()
        assert SECRET.encode() not in data
        assert files["train/cat.0.jpg"] not in data
    # Pages show them too.
    sha256 = rows("tars")[1].split(",")[-2]
    assert thumbnail(remote.photo(paths("tars")["cat.0"]), sha256).size == (60, 44)
    with pytest.raises(PhotoError, match="has changed since"):
        pixels.pixels(remote.photo(paths("tars")["cat.1"]), 32, sha256)


def test_what_is_up_to_date_is_listed_and_not_read(here, run, bucket):
    run("data", "--source", "s3://pets/loose")
    bucket.asked.clear()
    assert "up to date" in run("data", "--source", "s3://pets/loose")
    assert len(bucket.asked) == 1


def test_a_notebook_that_asks_again_sees_what_was_added(here, server, bucket, files):
    """In one process, where a run of make would list the bucket anew."""
    put(f"{server}/grows")
    for name, data in files.items():
        put(f"{server}/grows/{name}", data)
    before = stages.data("s3://grows").photos_per_class
    put(f"{server}/grows/train/dog.99.jpg", encoded(picture(998)))
    assert stages.data("s3://grows").photos_per_class == {**before, "dog": before["dog"] + 1}


def test_a_run_that_was_stopped_fetches_no_photo_twice(here, run, refuse, bucket, files):
    bucket.fault = ("/loose/train/dog.7", 99, SLOW_DOWN)
    refuse("data", "--source", "s3://pets/loose")
    read = {path for path, _ in bucket.asked if "loose/" in path} - {"/pets/loose/train/dog.7.jpg"}
    bucket.fault = ("(?!)", 0, None)
    bucket.asked.clear()
    run("data", "--source", "s3://pets/loose")
    again = {path for path, span in bucket.asked if "loose/" in path and span is None}
    assert "/pets/loose/train/dog.7.jpg" in again
    # Those that were under way when it stopped are not in the journal.
    assert len(read & again) <= 5 * remote.FETCHES - 1
    assert len(again) < len(files)


def test_only_what_has_no_known_ending_is_opened_to_see_whether_it_is_a_photo(
    here, run, server, bucket, files
):
    put(f"{server}/heads")
    for name in files:
        put(f"{server}/heads/{name.replace('dog.3.jpg', 'dog.3')}", files[name])
    for name in "train/notes.txt", "train/raw.dng", "train/.hidden.jpg", "__MACOSX/cat.0.jpg":
        put(f"{server}/heads/{name}", files["train/cat.0.jpg"])
    put(f"{server}/heads/train/model.bin", b"\0" * 9)
    put(f"{server}/heads/train/")  # what consoles put for a folder
    printed = run("data", "--source", "s3://heads")
    heads = [path for path, span in bucket.asked if span and "heads" in path]
    assert sorted(heads) == [
        "/heads/train/dog.12.jpg_large",
        "/heads/train/dog.3",
        "/heads/train/model.bin",
    ]
    assert paths("heads")["dog.3"] == "s3://heads/train/dog.3"
    assert "2 files left out as no photos, by ending and first bytes: train/ (2)" in printed


def test_groups_and_the_sample_submission_are_read_from_the_bucket(
    here, run, server, bucket, files
):
    tests = [name for name in files if name.startswith("test/")]
    sample = "id,label\n" + "".join(f"{Path(name).stem},0.5\n" for name in tests)
    sidecars = {
        "groups.csv": b"photo,group\ntrain/cat.1.jpg,a\ncat.2,a\n",
        "sample_submission.csv": sample.encode(),
    }
    put(f"{server}/listed")
    put(f"{server}/listed/photos/0.tar", tar_of(files))
    for name, data in sidecars.items():
        put(f"{server}/listed/photos/{name}", data)
    run("data", "--source", "s3://listed/photos", "--dataset", "remote")
    unpack(files | sidecars, here / "folder")
    run("data", "--source", "folder")
    assert rows("remote") == rows("folder")
    assert Path("data/remote/sample_submission.csv").read_text() == sample
    # With a groups.csv, near-duplicates are found from the bucket as it is now.
    workspace = Workspace("remote")
    table = photos.train(photos.read(workspace))
    bucket.asked.clear()
    groups = same_picture.groups(workspace, table)
    assert groups["cat.1"] != groups["cat.2"]
    assert len(bucket.asked) == 1  # a listing; no photo is read again


def test_photos_are_fetched_side_by_side(here, run, bucket, files):
    bucket.fault = ("/loose/", 99, "slow")
    run("data", "--source", "s3://pets/loose")
    assert bucket.most > 2 * (os.cpu_count() or 1)
    bucket.most = 0
    bucket.fault = ("/loose/", 99, "slow")
    jobs = [pipeline.Job(None, remote.photo(x), {"plain": 0}) for x in paths("loose").values()]
    read = pipeline.decoded(iter(jobs[:12]), 32, 4, 1, Times())
    assert sum(len(group) for group, _ in read) == 12
    assert bucket.most > 2 * (os.cpu_count() or 1)


@pytest.mark.parametrize(("source", "fault"), [("loose", SLOW_DOWN), ("tars", "cut")])
def test_a_throttled_or_cut_request_is_tried_again(here, run, bucket, files, source, fault):
    bucket.fault = (f"/{source}/", 4, fault)
    run("data", "--source", f"s3://pets/{source}")
    assert bucket.fault[1] == 0
    assert len(rows(source)) == 1 + len(files)
    assert sum(line.endswith(",") for line in rows(source)) == len(files) - 1


@pytest.mark.parametrize(
    ("pattern", "fault", "reason"),
    [
        ("/loose/train/cat.1", SLOW_DOWN, "s3://pets/loose/train/cat.1.*SlowDown.*throttling"),
        ("/loose/train/cat.1", "cut", "after 6 tries: .* Check the network"),
        ("/loose/train/cat.1", DENIED, "may not be read: .*Access Denied. Check the credentials"),
        ("list-type", DENIED, "s3://pets/loose may not be read: .*Access Denied"),
        ("list-type", REGION, "expecting 'xx'. Check the region and the endpoint"),
        ("list-type", SLOW_DOWN, "s3://pets/loose can't be read, after 6 tries: .*throttling"),
    ],
)
def test_what_a_bucket_refuses_is_said_in_one_line(here, refuse, bucket, pattern, fault, reason):
    bucket.fault = (pattern, 999, fault)
    line = refuse("data", "--source", "s3://pets/loose")
    assert re.search(reason, line)


@pytest.mark.parametrize(
    ("source", "variables", "reason"),
    [
        ("s3://dogs", {}, "There is nothing at s3://dogs: no such bucket, or no files below it."),
        ("s3://pets/los", {}, "There is nothing at s3://pets/los"),
        (
            "s3://pets/loose",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "Check the network, and AWS_ENDPOINT_URL if it is set",
        ),
        (
            "s3://pets/loose",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "may not be read: Unable to locate credentials",
        ),
    ],
)
def test_a_wrong_source_is_said_in_one_line(here, refuse, bucket, source, variables, reason):
    line = refuse("data", "--source", source, **variables)
    assert reason in line
    assert SECRET not in line


def test_photos_that_are_gone_or_have_changed_are_said_as_on_the_disk(
    here, run, refuse, server, bucket, files
):
    put(f"{server}/moving")
    part = {name: data for name, data in files.items() if "12" not in name}
    for name, data in part.items():
        put(f"{server}/moving/loose/{name}", data)
    put(f"{server}/moving/tars/0.tar", tar_of(part))
    for name in "loose", "tars":
        run("data", "--source", f"s3://moving/{name}")
    workspace, again = Workspace("loose"), "Run `make data` again, with the same SOURCE"
    preflight.require_photos(workspace)
    put(f"{server}/moving/loose/train/cat.3.jpg", files["train/cat.4.jpg"])
    put(f"{server}/moving/tars/0.tar", tar_of(dict(list(part.items())[:9])))
    for name in "loose", "tars":
        line = refuse("features", "--recipe", "tiny.toml", "--dataset", name)
        assert "is not as it was when `make data` read it" in line
        assert again in line
    run("data", "--source", "s3://moving/loose")
    (row,) = [line for line in rows("loose") if line.startswith("cat.3,")]
    assert hashlib.sha256(files["train/cat.4.jpg"]).hexdigest() in row
    delete(f"{server}/moving/loose/test/2.jpg")
    delete(f"{server}/moving/tars/0.tar")
    for name, photo in (
        ("loose", "s3://moving/loose/test/2.jpg"),
        ("tars", "::s3://moving/tars/0.tar"),
    ):
        line = refuse("features", "--recipe", "tiny.toml", "--dataset", name)
        assert photo in line
        assert f"is no longer there. {again}" in line
    Path("mine.csv").write_text("id,label\n" + "".join(f"{n},0.5\n" for n in range(1, 6)))
    with pytest.raises(check.UserError, match=r"s3://moving/loose/test/2.jpg is no longer there"):
        check.check(Path("mine.csv"), workspace)


def test_a_damaged_tar_and_two_photos_of_one_name_are_named(here, refuse, server, bucket, files):
    put(f"{server}/broken")
    put(f"{server}/broken/cut/0.tar", tar_of(files)[:-11_000])
    assert "s3://broken/cut/0.tar is damaged: " in refuse("data", "--source", "s3://broken/cut")
    for number in range(2):
        put(f"{server}/broken/twice/{number}.tar", tar_of(files))
    line = refuse("data", "--source", "s3://broken/twice")
    assert "would be one photo, s3://broken/twice/test/1.jpg. Rename one." in line
    put(f"{server}/broken/packed/0.tar.gz", b"\x1f\x8b")
    line = refuse("data", "--source", "s3://broken/packed")
    assert "s3://broken/packed holds no photos, but 0.tar.gz. Only plain .tar" in line


def test_a_rehearsal_and_photos_at_google_say_what_to_do(refuse, here):
    assert "download them" in refuse("rehearse", "--source", "s3://pets/loose")
    assert "gcsfs is not installed. Run `" in refuse("data", "--source", "gs://pets")


@contextlib.contextmanager
def web_server(folder: Path):
    """Serve a folder, with a page that lists each folder in it; ranges are ignored."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with serving(functools.partial(Quiet, directory=str(folder))) as address:
        yield address.removesuffix("/file.bin")


def test_a_web_server_that_lists_its_files_is_as_good_as_a_folder(here, run, refuse, files):
    named = {name.replace("test/", "test set/test/"): data for name, data in files.items()}
    unpack(named, here / "folder")
    (here / "none").mkdir()
    (here / "none" / "index.html").write_text("<p>Welcome</p>")
    (here / "tar").mkdir()
    (here / "tar" / "0.tar").write_bytes(tar_of(files))
    with web_server(here) as address:
        run("data", "--source", f"{address}/folder/", "--dataset", "web")
        run("data", "--source", "folder")
        assert rows("web") == rows("folder")
        assert paths("web")["1"] == f"{address}/folder/test%20set/test/1.jpg"
        line = refuse("data", "--source", f"{address}/none")
        assert f"{address}/none has no page that lists its files" in line
        line = refuse("data", "--source", f"{address}/tar")
        assert "sends the whole of a tar where a part of it is asked for" in line
