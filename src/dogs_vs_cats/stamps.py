"""Stamps: what an artifact was made from. Standard library alone, so that asking is instant.

A stage writes its stamp last. It is up to date when its inputs are what the stamp says and its
outputs are as they were left (size and time of change).
"""

import json
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError


def write(path: Path, inputs: dict, outputs: list[Path], summary: dict) -> None:
    """Write the stamp `path`: `inputs` and `summary` are JSON, `outputs` files or folders."""
    stamp = {
        "inputs": inputs,
        "outputs": {str(output): files.signature(output) for output in outputs},
        "summary": summary,
    }
    files.write_text(path, json.dumps(stamp, indent=1) + "\n")


def read(path: Path) -> dict | None:
    """Return the stamp, or None where there is none or it can't be parsed (then it counts as none).

    A stamp is written whole, so a broken one was changed by hand; its stage runs again.
    """
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and "inputs" in stamp else None


def summary(path: Path) -> dict:
    """Return the summary in the stamp of a dataset; UserError if it has none that we can use."""
    stamp = read(path)
    if stamp is None or not {"competition", "metric", "per_class"} <= stamp["summary"].keys():
        raise UserError(
            f"Expected {path} as `make data` wrote it. Received another. Run `make data` again, "
            "with the same SOURCE."
        )
    return stamp["summary"]


def fresh(path: Path, inputs: dict) -> dict | None:
    """Return the stamp's summary if the artifact is up to date for `inputs`, else None."""
    stamp = read(path)
    # Through JSON and back, as the stamp itself went: tuples become lists.
    if stamp is None or stamp["inputs"] != json.loads(json.dumps(inputs)):
        return None
    for output, signature in stamp["outputs"].items():
        if not Path(output).exists() or files.signature(Path(output)) != signature:
            return None
    return stamp["summary"]
