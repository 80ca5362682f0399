"""Notebooks, executed from the first cell to the last as Jupyter does, without a network.

nbclient and the kernel run in a network namespace that has the loopback interface alone. That takes
root, or user namespaces; a test is skipped where neither is allowed.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

NAMESPACE = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else [])]
OFFLINE = [*NAMESPACE, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")  # what a kernel has besides `env`


def execute(
    notebook: Path | list[str],
    *,
    python: str | Path,
    cwd: Path,
    env: dict[str, str],
    offline: bool = True,
    allow_errors: bool = False,
    timeout: float = 600,
) -> nbformat.NotebookNode:
    """Return the notebook with its outputs, executed in a new kernel.

    notebook: a file, which isn't changed, or the sources of cells. python: the kernel's
    interpreter, which needs ipykernel. env: the kernel's variables besides INHERITED. allow_errors:
    go on after a cell that fails; else the test fails with that cell's outputs. timeout: seconds a
    cell.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if isinstance(notebook, Path):
            document = nbformat.read(notebook, as_version=4)
        else:
            cells = [nbformat.v4.new_code_cell(source) for source in notebook]
            document = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(document, work / "notebook.ipynb")
        kernel = work / "kernels" / "tested" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        command = [os.path.abspath(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel.write_text(json.dumps({"argv": command, "display_name": "", "language": "python"}))
        (work / "env.json").write_text(json.dumps(_variables(work, env)))
        runner = [sys.executable, __file__, folder, os.path.abspath(cwd), str(timeout)]
        done = subprocess.run(
            [*(_offline() if offline else []), *runner, *(["all"] if allow_errors else [])],
            env={**os.environ, "JUPYTER_PATH": folder, "JUPYTER_PREFER_ENV_PATH": "0"},
            cwd=folder,  # and not tests/, where a folder `data` is a module's namesake
            capture_output=True,
            text=True,
            check=False,
        )
        executed = nbformat.read(work / "notebook.ipynb", as_version=4)
    if done.returncode:
        cells = [cell for cell in executed.cells if cell.cell_type == "code"]
        last = max((cell for cell in cells if cell.execution_count), key=_count, default=None)
        where = f"In this cell:\n{last.source}\n\n{shown(last)}\n" if last else ""
        pytest.fail(f"{where}{done.stderr}", pytrace=False)
    return executed


def shown(cell: nbformat.NotebookNode) -> str:
    """Return what a cell's outputs show as plain text, in order: streams, results, errors."""
    texts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            texts.append(output.text)
        elif output.output_type == "error":
            texts.append("\n".join(output.traceback) + "\n")
        else:
            texts.append(output.data.get("text/plain", "") + "\n")
    return "".join(texts)


def _count(cell: nbformat.NotebookNode) -> int:
    return cell.execution_count


def _variables(folder: Path, env: dict[str, str]) -> dict[str, str]:
    """Return all of a kernel's variables. folder: where IPython may write."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "IPYTHONDIR": str(folder / "ipython"), **env}


@functools.cache
def _offline() -> list[str]:
    """Return the words before a command that is to run without a network."""
    try:
        tried = subprocess.run([*OFFLINE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `unshare`: install util-linux")
    if tried.returncode:
        pytest.skip(f"a network namespace can't be made here: {tried.stderr.strip()}")
    return OFFLINE


def _run(folder: str, cwd: str, timeout: str, *every: str) -> None:
    """Execute the notebook in a folder in place. every: given to go on after a cell that fails."""
    import nbclient

    path = Path(folder, "notebook.ipynb")
    document = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        document,
        kernel_name="tested",
        timeout=float(timeout),
        allow_errors=bool(every),
        resources={"metadata": {"path": cwd}},
    )
    try:
        client.execute(env=json.loads(Path(folder, "env.json").read_text()))
    except nbclient.exceptions.CellExecutionError:
        sys.exit("The notebook stopped at this error.")  # its outputs show which
    finally:
        nbformat.write(document, path)


if __name__ == "__main__":
    _run(*sys.argv[1:])
