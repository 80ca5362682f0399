"""Earlier output: the newest one is copied whole, and only where this session has none yet."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.hosted import earlier_output

NOW = "2026-11-29 12:00:00"


@pytest.fixture
def inputs(tmp_path) -> Path:
    folder = tmp_path / "input"
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path) -> Path:
    return tmp_path / "working" / "dogs-vs-cats"


def output(folder: Path, began: str) -> Path:
    """Make the working folder of an earlier session; return it."""
    files = {
        "session.json": json.dumps({"began": began}),
        "data/photos/stamp.json": "{}",
        "data/photos/inspections.jsonl": began,
        "data/photos/.lock": "",
        "models/photos/.light.partial/checkpoints/fold-0.json": "{}",
        "models/photos/light/stamp.json": "{}",
    }
    for name, text in files.items():
        path = folder / "dogs-vs-cats" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o444)
    return folder / "dogs-vs-cats"


def there(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["an-output", "notebooks/somebody/dogs-vs-cats"])
def test_what_an_earlier_session_left_is_copied(place, inputs, work, capsys):
    source = output(inputs / place, "2026-11-28 09:00:00")
    earlier_output.take_over(inputs, work, NOW)
    assert there(work) == {
        "session.json",
        "data/photos/inspections.jsonl",
        "models/photos/.light.partial/checkpoints/fold-0.json",
        "models/photos/light/stamp.json",
    }
    assert (work / "models/photos/light/stamp.json").stat().st_mode & 0o200, "inputs are read-only"
    assert json.loads((work / "session.json").read_text()) == {"began": NOW}
    assert f"goes on from {source}, begun 2026-11-28 09:00:00 UTC\n" in capsys.readouterr().out


def test_of_several_the_newest_is_taken(inputs, work, capsys):
    output(inputs / "a", "2026-11-27 09:00:00")
    newest = output(inputs / "b", "2026-11-28 09:00:00")
    output(inputs / "c", "2026-11-26 09:00:00")
    earlier_output.take_over(inputs, work, NOW)
    assert (work / "data/photos/inspections.jsonl").read_text() == "2026-11-28 09:00:00"
    printed = capsys.readouterr().out
    assert f"goes on from {newest}" in printed
    assert "(2 older ones are attached too)" in printed


def test_a_working_folder_that_is_there_is_kept(inputs, work, capsys):
    output(inputs / "a", "2026-11-28 09:00:00")
    output(work.parent, NOW)
    earlier_output.take_over(inputs, work, NOW)
    assert (work / "data/photos/inspections.jsonl").read_text() == NOW
    assert f"goes on in {work}" in capsys.readouterr().out


def test_what_is_attached_after_the_first_cell_ran_is_taken_when_it_runs_again(
    inputs, work, monkeypatch
):
    earlier_output.take_over(inputs, work, NOW)
    monkeypatch.chdir(work)
    output(inputs / "a", "2026-11-28 09:00:00")
    earlier_output.take_over(inputs, work, NOW)
    assert (work / "data/photos/inspections.jsonl").read_text() == "2026-11-28 09:00:00"


def test_a_copy_that_was_cut_off_does_not_count(inputs, work):
    output(inputs / "a", "2026-11-28 09:00:00")
    draft = work.with_name(".dogs-vs-cats.part")
    output(draft.parent, NOW).rename(draft)
    (draft / "stray").touch()
    earlier_output.take_over(inputs, work, NOW)
    assert (work / "data/photos/inspections.jsonl").read_text() == "2026-11-28 09:00:00"
    assert "stray" not in there(work)
    assert not draft.exists()


def test_folders_of_another_kind_are_no_output(inputs, work):
    output(inputs / "a" / "b" / "c" / "d", "2026-11-28 09:00:00")  # too deep
    (inputs / "dogs-vs-cats").mkdir()
    earlier_output.take_over(inputs, work, NOW)
    assert there(work) == {"session.json"}


def test_an_output_that_was_changed_by_hand_is_refused(inputs, work):
    mark = output(inputs / "a", "2026-11-28 09:00:00") / "session.json"
    mark.chmod(0o644)
    mark.write_text("[]")
    with pytest.raises(UserError, match=f"{mark} is not as this notebook writes it"):
        earlier_output.take_over(inputs, work, NOW)
    assert not work.exists()


def test_in_a_copy_of_what_was_finished_nothing_is_computed_again(made, inputs, work, run):
    source = inputs / "notebooks" / "somebody" / "first" / "dogs-vs-cats"
    shutil.copytree(made, source, copy_function=shutil.copyfile)
    (source / "session.json").write_text(json.dumps({"began": "2026-11-28 09:00:00"}))
    earlier_output.take_over(inputs, work, NOW)
    os.chdir(work)
    run("data", "--source", "source")
    for stage in "features", "train", "submit":
        assert "up to date" in run(stage, "--recipe", "tiny.toml"), stage


def test_a_folder_of_many_photos_is_not_listed_to_its_end(inputs):
    photos = inputs / "competitions" / "train"
    photos.mkdir(parents=True)
    for number in range(3 * earlier_output.SEEN):
        (photos / str(number)).mkdir()
    assert len([x for x in earlier_output.folders(inputs) if x.parent == photos]) == (
        earlier_output.SEEN
    )
