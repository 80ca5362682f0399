"""A stage that is stopped leaves nothing half done; one that nobody reads goes on."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import filelock
import pytest

from dogs_vs_cats.stopping import STOPPED
from support.commands import PROJECT, command
from support.pictures import class_folder, kaggle_folder

# An interpreter that stops at a function, or at an import, until it is ended.
HANG = """
import os, shutil, sys, time

def hang(*_):
    open("reached", "w").close()
    time.sleep(60)

class Finder:
    def find_spec(name, *_):
        return hang() if name == "tensorflow" else None

{at}
"""
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def stop(here: Path, number: int, at: str, script: str, *arguments: str) -> tuple[int, str]:
    """Send a script a signal where it hangs; return its status and what it said on stderr."""
    (here / "sitecustomize.py").write_text(HANG.format(at=at))
    child = subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), *arguments],
        env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{os.environ['PYTHONPATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # tests may run under nohup
    )
    while not Path("reached").exists() and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(number)
    errors = child.communicate(timeout=30)[1]
    (here / "sitecustomize.py").unlink()
    return child.returncode, errors


def shell(script: str, options: tuple[str, ...], output: str, **variables: str) -> CompletedProcess:
    """Run a script by a shell, with what follows it there: `| head -1`."""
    words = [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), *options]
    text = f"(sleep 0.1; exec {shlex.join(words)}) {output}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(
        ["bash", "-c", text],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def left_over(folder: Path) -> list[Path]:
    """Return hidden files and folders below `folder`, locks aside."""
    return [x for x in folder.rglob(".*") if not x.name.endswith(".lock")]


def nested_zip(here: Path, odd: str = "") -> Path:
    """Write photos.zip: train.zip and test.zip, and a file whose name, `odd`, is not UTF-8."""
    source = kaggle_folder(here / "photos")
    with zipfile.ZipFile(here / "photos.zip", "w") as whole:
        for name in "train", "test":
            shutil.make_archive(str(here / name), "zip", source, name)
            whole.write(here / f"{name}.zip", f"{name}.zip")
        if odd:
            whole.writestr("name.txt", "no photo")
    if odd:
        raw = (here / "photos.zip").read_bytes()
        (here / "photos.zip").write_bytes(raw.replace(b"name.txt", odd.encode("cp437") + b".txt"))
    return here / "photos.zip"


@pytest.mark.parametrize(
    ("number", "at"), [(signal.SIGTERM, "shutil.copyfileobj"), (signal.SIGHUP, "os.fsync")]
)
def test_a_stopped_make_data_removes_what_it_was_writing(here, run, number, at):
    source = str(nested_zip(here))
    status, errors = stop(here, number, f"{at} = hang", "data", "--source", source)
    assert (status, errors) == (128 + number, f"error: {STOPPED}\n")
    assert left_over(here / "data") == []
    assert not Path("data/photos/photos.csv").exists()
    assert "12 cat + 12 dog to train on, 5 to predict" in run("data", "--source", source)


def test_a_stopped_make_features_frees_its_lock(here, run):
    run("data", "--source", str(kaggle_folder(here / "source")))
    at = "sys.meta_path.insert(0, Finder)"
    status, errors = stop(here, signal.SIGTERM, at, "features", "--recipe", "tiny.toml")
    assert (status, errors) == (128 + signal.SIGTERM, f"error: {STOPPED}\n")
    locks = list(Path("cache").rglob(".lock"))
    assert locks
    for lock in locks:
        filelock.FileLock(lock).acquire(timeout=0)
    assert left_over(here / "cache") == []


def test_make_data_ends_well_where_nobody_reads_its_lines(here):
    """`make data | head -1`, with a line before the photos are there, and `make data >&-`."""
    source = nested_zip(here, "\u00fcbel")
    for output in "| true", "2>&- >&-":
        shutil.rmtree("data", ignore_errors=True)
        done = shell("data", ("--source", str(source)), output)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert Path("data/photos/photos.csv").exists()


def test_a_name_that_the_terminal_can_not_show_ends_no_stage(trained):
    Path("odd").mkdir()
    for number, name in enumerate(("\u732b.jpg", os.fsdecode(b"latin\xe9.jpg")), 1):
        shutil.copy(f"source/test/{number}.jpg", Path("odd", name))
    Path("odd/\u72d7.mov").write_bytes(b"x")
    options = "odd", "--csv", "odd.csv", "--recipe", "tiny.toml"
    done = shell("predict", options, "| head -1", **ASCII)  # nor does it end if nobody reads more
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("predict: 2 photos, with tiny of source, accuracy ")
    assert done.stdout.count("\n") == 1
    rows = Path("odd.csv").read_bytes().decode("utf-8")
    assert "odd/\u732b.jpg," in rows
    assert r"odd/latin\xe9.jpg," in rows
    class_folder(Path("more"))
    for name in "Cat/\u732b.jpg", "Dog/\u72d7.mov":
        Path("more", name).write_bytes(b"no photo")
    done = command("data", "--source", "more", **ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    for words in "1 photo can't be read", "1 file left out":
        assert words in done.stdout
