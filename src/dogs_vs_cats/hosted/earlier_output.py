"""Earlier output: what a stopped session of the notebook left, attached to the next as input.

It is copied to where this session works. Stages then do only what is left: features are matched by
the sha256 of their photos, finished folds by that of their heads, photos by that of their bytes.
Standard library alone.
"""

import json
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import counted

MARK = "session.json"  # when the session began, in its working folder
DEPTH = 4  # input/notebooks/<user>/<slug>/dogs-vs-cats
SEEN = 200  # entries of a folder that are looked at: one with more holds photos, not inputs


def folders(top: Path) -> Iterator[Path]:
    """Yield the folders up to four levels below `top`, the highest first.

    Of a folder with many entries only some are looked at, so that photos are not listed.
    """
    level = [top]
    for _ in range(DEPTH):
        level = [Path(entry.path) for folder in level for entry in _first(folder) if entry.is_dir()]
        yield from level


def _first(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(islice(entries, SEEN), key=lambda entry: entry.name)


def take_over(inputs: Path, work: Path, now: str) -> None:
    """Make the working folder: that of an earlier session below `inputs` if there is one, or empty.

    A working folder with anything in it is kept. now: when this session began, as `time.strftime`
    writes "%Y-%m-%d %H:%M:%S".
    """
    found = {x: _began(x) for x in folders(inputs) if x.name == work.name and (x / MARK).is_file()}
    if work.exists() and set(os.listdir(work)) - {MARK}:
        progress.say(f"notebook: goes on in {work}")
    elif found:
        newest = max(found, key=lambda folder: found[folder])
        others = counted(len(found) - 1, "older one is", "older ones are")
        rest = f" ({others} attached too)" if len(found) > 1 else ""
        progress.say(f"notebook: goes on from {newest}, begun {found[newest]} UTC{rest}")
        (work / MARK).unlink(missing_ok=True)
        _copy(newest, work)
    else:
        work.mkdir(parents=True, exist_ok=True)
    files.write_text(work / MARK, json.dumps({"began": now}) + "\n")


def _began(folder: Path) -> str:
    """Return when the session of a working folder began; UserError if the folder doesn't say."""
    path = folder / MARK
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["began"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not as this notebook writes it. Remove that input from the notebook."
        ) from error


def _copy(source: Path, target: Path) -> None:
    """Copy an earlier session's folder; the copy appears whole, in place of an empty folder.

    Locks are left out, and so are the stamps of datasets: their photos are elsewhere now, so that
    the table is made again.
    """
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)  # a copy that was cut off
    paths = [path for path in _files(source) if not _is_left_out(path.relative_to(source))]
    total = sum(path.stat().st_size for path in paths)
    files.require_free(target.parent, total, "the output of the earlier session")
    with progress.bar(total, "copying", progress.BYTES, delay=2) as bar:
        for path in paths:
            copy = draft / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)  # not its mode: inputs are read-only
            bar.update(path.stat().st_size)
    draft.rename(target)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in sorted(names))


def _is_left_out(path: Path) -> bool:
    return path.name.endswith(".lock") or (path.parts[0], path.name) == ("data", "stamp.json")
