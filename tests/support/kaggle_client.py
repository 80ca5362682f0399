"""A small Kaggle for tests, which this process's client talks to as if it had just started."""

import io
import os
import random
import re
import runpy
import sys
import time
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import pytest

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle.competitions import REDUX
from dogs_vs_cats.rehearsal.book import HostedCompetition
from dogs_vs_cats.rehearsal.faults import Fault
from dogs_vs_cats.rehearsal.small_kaggle import REMOVE, SmallKaggle

SLUG = REDUX
TESTS = 40  # test photos
NAMES = ["train.zip", "test.zip", "sample_submission.csv"]


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def competition_files(folder: Path) -> dict[str, Path]:
    """Make files like the competition's; train.zip is of 2 MB that don't compress."""
    noise = random.Random(1)
    train = {f"train/{kind}.0.jpg": noise.randbytes(1_000_000) for kind in ("cat", "dog")}
    test = {f"test/{id}.jpg": noise.randbytes(100) for id in range(1, TESTS + 1)}
    sample = folder / "sample_submission.csv"
    sample.write_text("id,label\n" + "".join(f"{id},0.5\n" for id in range(1, TESTS + 1)))
    return {
        "train.zip": write_zip(folder / "train.zip", train),
        "test.zip": write_zip(folder / "test.zip", test),
        "sample_submission.csv": sample,
    }


def forget_client() -> None:
    """Let the client be imported anew: it looks for its folder and signs in on import."""
    for name in [name for name in sys.modules if re.match(r"kaggle(\.|$)", name)]:
        del sys.modules[name]


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Give this process just these variables, and a client that isn't imported yet."""
    with mock.patch.dict(os.environ, variables, clear=True):
        forget_client()
        yield
    forget_client()


def run_client(variables: dict[str, str], folder: Path, *arguments: str) -> CompletedProcess:
    """Run `python -m kaggle`, or with "-c" a script, in this process, as if it had just started."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        environment(variables),
        chdir(folder),
        mock.patch.object(sys, "argv", ["kaggle", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            if arguments[0] == "-c":
                exec(arguments[1], {"__name__": "__main__"})
            else:
                runpy.run_module("kaggle", run_name="__main__")
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except Exception:  # noqa: BLE001 - the interpreter prints the same
            traceback.print_exc()
            status = 1
    return CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


class Kaggle:
    """Starts small Kaggles that this process's client talks to, as if it had just started."""

    def __init__(self, tmp_path: Path, monkeypatch, served: dict[str, Path], stack: ExitStack):
        self.home, self.folder = tmp_path / "home", tmp_path / "server"
        self.monkeypatch, self.served, self.stack = monkeypatch, served, stack

    def start(self, *faults: Fault, **changes) -> SmallKaggle:
        answers = {str(id): id % 2 for id in range(1, TESTS + 1)}
        given = {"slug": SLUG, "metric": "log_loss", "files": self.served, "answers": answers}
        rehearsal = SmallKaggle(HostedCompetition(**given | changes), self.folder, faults)
        self.stack.enter_context(rehearsal)
        self.home.joinpath(".kaggle").mkdir(parents=True, exist_ok=True)
        for name in REMOVE:
            self.monkeypatch.delenv(name, raising=False)
        for name, value in rehearsal.environment(self.home).items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setenv("KAGGLE_TIMEOUT", "1")
        self.monkeypatch.setenv("KAGGLE_PATIENCE", "3")
        forget_client()
        return rehearsal

    def sign_out(self) -> Path:
        """Take the credentials away; return the folder where others may be put."""
        for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
            self.monkeypatch.delenv(name, raising=False)
        return self.home / ".kaggle"


def refused(words: list[str], call, *arguments) -> str:
    """Expect `call` to fail within 8 s with all these words in one line; return the line."""
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert time.monotonic() - began < 8
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def whole(kaggle: Kaggle, paths: list[Path]) -> bool:
    return [p.name for p in paths] == NAMES and all(
        p.read_bytes() == kaggle.served[p.name].read_bytes() for p in paths
    )


def count(rehearsal: SmallKaggle, what: str) -> int:
    return sum(what in call for _, call, _ in rehearsal.requests)
