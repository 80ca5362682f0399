"""Show what could be removed to free disk space; with --yes remove it. Downloads are kept."""

import shutil
from pathlib import Path

from dogs_vs_cats import console, files
from dogs_vs_cats.errors import UserError, did_you_mean
from dogs_vs_cats.status.freed import freed
from dogs_vs_cats.workspace import Workspace, check_dataset_name


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--dataset", help="its name (default: all datasets)")
    parser.add_argument("--yes", action="store_true", help="remove it")
    args = parser.parse_args()
    sizes = freed(check_dataset_name(args.dataset) if args.dataset else None)
    if args.dataset and not sizes and not Workspace(args.dataset).data.exists():
        near = did_you_mean(args.dataset, files.beside("data/*"))
        raise UserError(f"There is no dataset {args.dataset!r}.{near}")
    for folder, size in sizes:
        print(f"clean: {folder}: {files.size_text(size)}")
        if args.yes:
            empty(folder)
    if not sizes:
        print("clean: nothing to free")
    elif args.yes:
        print("clean: removed")
    else:
        total = files.size_text(sum(size for _, size in sizes))
        print(f"clean: {total} in all; `make clean YES=1` removes it, and stages make it again.")
    print("clean: data/, weights/ and submissions/ are never touched")


def empty(folder: Path) -> None:
    """Remove the contents of a folder, and the folder unless it is a link (to a bigger disk)."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not folder.is_symlink():
        folder.rmdir()


if __name__ == "__main__":
    console.run(main)
