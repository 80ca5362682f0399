"""What `make clean` would free. Standard library alone."""

from pathlib import Path

from dogs_vs_cats import files

# Folders of what the stages can make again.
FREED = ("cache", "models", "reports", "exports")


def freed(dataset: str | None) -> list[tuple[Path, int]]:
    """Return the folders that `make clean` would remove, of one dataset or of all, and their bytes.

    Stages can make them again: data/, weights/ and submissions/ are not among them.
    """
    folders = [Path(name, dataset) if dataset else Path(name) for name in FREED]
    return [(folder, files.size_of(folder)) for folder in folders if folder.exists()]
