"""The files of a competition arrive whole, whatever happens on the way."""

import os
import random
import shutil
from pathlib import Path

import pytest

from dogs_vs_cats.kaggle import competition_files, competitions
from dogs_vs_cats.rehearsal import server
from dogs_vs_cats.rehearsal.faults import ALWAYS, Fault
from dogs_vs_cats.rehearsal.packing import damage
from support.kaggle_client import NAMES, SLUG, count, refused, whole, write_zip


def test_what_was_checked_is_not_asked_for_again(kaggle, tmp_path):
    rehearsal = kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    asked = len(rehearsal.requests)
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert len(rehearsal.requests) == asked
    (tmp_path / "data" / "test.zip").unlink()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert count(rehearsal, "/blobs/test.zip") == 2
    assert count(rehearsal, "/blobs/train.zip") == 1


def test_a_file_brought_by_hand_is_checked_and_kept(kaggle, tmp_path):
    rehearsal = kaggle.start()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.zip").write_bytes(kaggle.served["train.zip"].read_bytes())
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert count(rehearsal, "/blobs/train.zip") == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_download_that_is_cut_goes_on_where_it_ended(kaggle, tmp_path, seed):
    cut = random.Random(seed).randrange(1, kaggle.served["train.zip"].stat().st_size)
    kaggle.start(
        Fault("cut", on="train.zip", after_bytes=cut),
        Fault("error-body", on="train.zip", times=ALWAYS, status=500),
    )
    refused(["train.zip", "500", "goes on"], competition_files.download, SLUG, tmp_path / "data")
    assert (tmp_path / "data" / "train.zip.part").stat().st_size == cut
    assert not (tmp_path / "data" / "train.zip").exists()
    # Only what is missing can pass now.
    missing = kaggle.served["train.zip"].stat().st_size - cut
    kaggle.start(Fault("cut", on="train.zip", after_bytes=missing))
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize("status", [200, 206, 416, 500])
def test_an_error_page_on_resuming_never_gets_into_the_file(kaggle, tmp_path, status):
    kaggle.start(
        Fault("cut", on="train.zip", after_bytes=1_234_567),
        Fault("error-body", on="train.zip", status=status),
    )
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert not list((tmp_path / "data").glob("*.part*"))


@pytest.mark.parametrize("status", [200, 206, 416, 500])
def test_an_error_page_that_stays_leaves_nothing_to_trust(kaggle, tmp_path, status):
    kaggle.start(
        Fault("cut", on="train.zip", after_bytes=1_234_567),
        Fault("error-body", on="train.zip", times=ALWAYS, status=status),
    )
    refused(["train.zip"], competition_files.download, SLUG, tmp_path / "data")
    assert not (tmp_path / "data" / "train.zip").exists()
    kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize("name", ["train.zip", "sample_submission.csv"])
def test_a_web_page_instead_of_a_file_is_reported_and_not_kept(kaggle, tmp_path, name):
    kaggle.start(Fault("html", on=name, times=ALWAYS))
    refused([name, "web page (HTML)", "twice"], competition_files.download, SLUG, tmp_path / "data")
    assert not (tmp_path / "data" / name).exists()
    kaggle.start(Fault("html", on=name))
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize("name", ["train.zip", "test.zip"])
def test_garbage_of_the_right_size_is_fetched_again(kaggle, tmp_path, name, capsys):
    kaggle.start()
    (tmp_path / "data").mkdir()
    garbage = b"\0" * kaggle.served[name].stat().st_size
    (tmp_path / "data" / name).write_bytes(garbage)
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert f"{name} is not a whole zip file" in capsys.readouterr().out


def test_bytes_that_change_on_the_way_are_fetched_again_once(kaggle, tmp_path):
    rehearsal = kaggle.start(Fault("damage", on="train.zip"))
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert count(rehearsal, "/blobs/train.zip") == 2
    kaggle.start(Fault("damage", on="train.zip", times=ALWAYS))
    words = ["train.zip", "damaged", "twice", "removed"]
    refused(words, competition_files.download, SLUG, tmp_path / "other")
    assert not (tmp_path / "other" / "train.zip").exists()
    kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "other"))


def test_a_zip_that_kaggle_itself_has_with_a_bad_crc_is_reported(kaggle, tmp_path):
    damage(kaggle.served["test.zip"], tmp_path / "test.zip")
    kaggle.start(files=kaggle.served | {"test.zip": tmp_path / "test.zip"})
    words = ["test.zip", "Bad CRC-32", "twice"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")
    assert not (tmp_path / "data" / "test.zip").exists()
    kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_a_file_that_kaggle_replaced_meanwhile_is_not_mixed_with_the_old(kaggle, tmp_path):
    kaggle.start(
        Fault("cut", on="test.zip", after_bytes=500),
        Fault("error-body", on="test.zip", times=ALWAYS, status=500),
    )
    refused(["test.zip"], competition_files.download, SLUG, tmp_path / "data")
    assert (tmp_path / "data" / "test.zip.part").stat().st_size == 500
    other = write_zip(tmp_path / "test.zip", {"test/1.jpg": random.Random(2).randbytes(8000)})
    kaggle.served = kaggle.served | {"test.zip": other}
    kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_a_file_that_was_changed_since_is_checked_again(kaggle, tmp_path):
    kaggle.start()
    train = competition_files.download(SLUG, tmp_path / "data")[0]
    spoiled = bytearray(train.read_bytes())
    spoiled[1_000_000] ^= 1
    train.write_bytes(spoiled)
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_one_zip_for_all_comes_as_it_is(kaggle, tmp_path):
    nested = tmp_path / "all.zip"
    write_zip(nested, {name: path.read_bytes() for name, path in kaggle.served.items()})
    kaggle.start(files={"all.zip": nested})
    paths = competition_files.download(SLUG, tmp_path / "data")
    assert [path.name for path in paths] == ["all.zip"]
    assert paths[0].read_bytes() == nested.read_bytes()


def test_a_csv_that_kaggle_sends_zipped_keeps_that_name(kaggle, tmp_path):
    sample = kaggle.served["sample_submission.csv"]
    zipped = write_zip(tmp_path / "csv.zip", {sample.name: sample.read_bytes()})
    name = f"{sample.name}.zip"
    rehearsal = kaggle.start(files=kaggle.served | {name: zipped})
    rehearsal.routes._download_one = lambda asked: rehearsal.routes.blob_url(
        asked["fileName"].removesuffix(".csv") + (".csv.zip" if "csv" in asked["fileName"] else "")
    )
    paths = competition_files.download(SLUG, tmp_path / "data")
    assert [path.name for path in paths] == [*NAMES[:2], name]
    assert paths[2].read_bytes() == zipped.read_bytes()
    asked = len(rehearsal.requests)
    assert competition_files.download(SLUG, tmp_path / "data") == paths
    assert len(rehearsal.requests) == asked


def test_an_unknown_competition_is_taken_to_be_like_redux(kaggle, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("read me")
    kaggle.start(slug="cats-again", files=kaggle.served | {"notes.txt": notes})
    paths = competition_files.download("cats-again", tmp_path / "data")
    assert sorted(path.name for path in paths) == sorted(NAMES)
    assert competitions.facts("cats-again").lower_is_better


def test_files_on_the_second_page_of_the_list_are_found(kaggle, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("read me")
    many = {f"a{number:03d}.txt": notes for number in range(150)}
    kaggle.start(files=kaggle.served | many)
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_a_competition_without_the_files_says_what_it_has(kaggle, tmp_path):
    kaggle.start(files={"sample_submission.csv": kaggle.served["sample_submission.csv"]})
    words = ["neither train.zip and test.zip", "its files: sample_submission.csv"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")


def test_too_little_room_is_reported_before_anything_is_fetched(kaggle, tmp_path):
    huge = tmp_path / "huge.zip"
    huge.touch()
    os.truncate(huge, shutil.disk_usage(tmp_path).total + 1)  # a hole: it takes no room itself
    rehearsal = kaggle.start(files=kaggle.served | {"train.zip": huge})
    refused(
        ["of free disk", "Free some space"], competition_files.download, SLUG, tmp_path / "data"
    )
    assert count(rehearsal, "/blobs/") == 0


def served_zip(tmp_path: Path) -> tuple[dict[str, Path], bytes]:
    """Return files for a competition of one small zip, and the bytes of the zip."""
    path = write_zip(tmp_path / "all.zip", {"train/cat.0.jpg": b"x"})
    return {"all.zip": path}, path.read_bytes()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(302, ""), (302, "text/html"), (302, "application/json"), (301, ""), (303, ""), (307, "")],
)
def test_the_status_and_type_of_a_redirect_decide_nothing(
    kaggle, tmp_path, monkeypatch, status, kind
):
    """Its body is empty, and the official client takes them all."""

    def post(self) -> None:  # to which 307 leads, as it keeps the method
        self._answer(self._download if self.path.startswith("/blobs/") else self._call)

    monkeypatch.setattr(server, "REDIRECT", (status, kind))
    monkeypatch.setattr(server._Handler, "do_POST", post)
    files, data = served_zip(tmp_path)
    kaggle.start(files=files)
    (path,) = competition_files.download(SLUG, tmp_path / "data")
    assert path.read_bytes() == data


def test_a_redirect_that_stays_at_kaggle_is_followed_signed_in(kaggle, tmp_path, monkeypatch):
    """To a relative address first, which takes the sign-in; from there to the file's store."""
    files, data = served_zip(tmp_path)
    rehearsal = kaggle.start(files=files)
    asked = []

    def get(self) -> None:
        if self.path.endswith("/api/there/all.zip"):
            asked.append(self.headers.get("Authorization", ""))
            store = rehearsal.routes.blob_url("all.zip")
            self._answer(lambda: self._send(302, b"", "text/plain", {"Location": store}))
        else:
            asked.append(self.headers.get("Authorization"))
            self._answer(self._download)

    monkeypatch.setattr(server._Handler, "do_GET", get)
    rehearsal.routes._download_one = lambda asked: "/api/there/all.zip"
    (path,) = competition_files.download(SLUG, tmp_path / "data")
    assert path.read_bytes() == data
    assert {x.split()[0] for x in asked if x} == {"Basic"}
    assert asked[-1] is None, "the store is no part of Kaggle"


def test_a_file_that_comes_without_a_redirect_is_taken(kaggle, tmp_path, monkeypatch):
    files, data = served_zip(tmp_path)
    kaggle.start(files=files)

    def call(self, known=server._Handler._call) -> None:
        if self.what.endswith("/DownloadDataFile"):
            body = b"".join(self._body())
            assert b"all.zip" in body
            assert self.headers["Authorization"]
            self._send(200, data, "application/octet-stream")
        else:
            known(self)

    monkeypatch.setattr(server._Handler, "_call", call)
    (path,) = competition_files.download(SLUG, tmp_path / "data")
    assert path.read_bytes() == data


def test_a_zip_that_its_store_calls_html_is_a_zip(kaggle, tmp_path, monkeypatch):
    def send_header(self, name, value, known=server._Handler.send_header) -> None:
        known(self, name, "text/html" if value == "application/zip" else value)

    monkeypatch.setattr(server._Handler, "send_header", send_header)
    files, data = served_zip(tmp_path)
    kaggle.start(files=files)
    (path,) = competition_files.download(SLUG, tmp_path / "data")
    assert path.read_bytes() == data
