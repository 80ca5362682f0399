"""A program that becomes a notebook's kernel, on a machine like Kaggle's or Colab's.

It says which process it is, mounts the input read-only where that is allowed, and starts a server
on the loopback interface of its network namespace.
"""

import hashlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

SEALED = """unshare --mount --propagation private sh -c '
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"' {folder}"""


class Kernel:
    """path: of the program, to be given as the interpreter.

    python: the image's interpreter. read_only: a folder that the kernel can't write to. server:
    the command of a server that writes variables for the kernel, as `export NAME=value`, to the
    file that is its last argument.
    """

    def __init__(
        self,
        folder: Path,
        python: Path,
        read_only: Path | None = None,
        server: list[str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self._process = folder / "kernel", folder / "process"
        lines = ["#!/bin/sh", f"echo $$ > {shlex.quote(str(self._process))}"]
        if server:
            variables = shlex.quote(str(folder / "variables"))
            lines += [
                f"rm -f {variables}",
                f"{shlex.join(server)} {variables} </dev/null >/dev/null &",
                f"while [ ! -f {variables} ]; do sleep 0.05; done",
                f". {variables}",
            ]
        sealed = SEALED.format(folder=shlex.quote(str(read_only))) if read_only and _may() else ""
        lines.append(f'exec {sealed} {shlex.quote(str(python))} "$@"')
        self.path.write_text("\n".join(lines) + "\n")
        self.path.chmod(0o755)

    def killed_once(self, condition: Callable[[], bool], run: Callable[[], object]) -> None:
        """Run a notebook in this kernel, and kill that as soon as the condition is true."""
        self._process.unlink(missing_ok=True)
        ended = threading.Event()

        def watch() -> None:
            while not ended.is_set():
                if self._process.exists() and condition():
                    os.kill(int(self._process.read_text()), signal.SIGKILL)
                    return
                time.sleep(0.002)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            with pytest.raises(pytest.fail.Exception, match=r"Kernel died|DeadKernel"):
                run()
        finally:
            ended.set()
            thread.join()


def _may() -> bool:
    """Return whether a mount namespace can be made here."""
    tried = ["unshare", "--mount", "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def code_cells(path: Path) -> list[str]:
    """Return the sources of a notebook's cells of code."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def contents(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of all files below a folder; folders, and links to them, have "/"."""
    found = {}
    for parent, folders, names in os.walk(folder):
        place = Path(parent).relative_to(folder)
        found |= {str(place / name): "/" for name in folders}
        for name in names:
            data = Path(parent, name).read_bytes()
            found[str(place / name)] = hashlib.sha256(data).hexdigest()
    return found
