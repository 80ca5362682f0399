"""Say what could be freed, and free it when told to; downloads are never touched."""

import shutil
from pathlib import Path

from dogs_vs_cats import console, files, status
from dogs_vs_cats.workspace import check_dataset_name


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--dataset", help="only what belongs to this one (default: to all)")
    parser.add_argument("--yes", action="store_true", help="remove it")
    args = parser.parse_args()
    found = status.freed(check_dataset_name(args.dataset) if args.dataset else None)
    for folder, size in found:
        print(f"clean: {folder}: {files.size_text(size)}")
        if args.yes:
            empty(folder)
    if not found:
        print("clean: nothing to free")
    elif args.yes:
        print("clean: removed")
    else:
        total = files.size_text(sum(size for _, size in found))
        print(f"clean: {total} in all; `make clean YES=1` removes it, and stages make it again.")
    print("clean: data/, weights/ and submissions/ are never touched")


def empty(folder: Path) -> None:
    """Remove what is in a folder, which may itself be a link to a bigger disk."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not folder.is_symlink():
        folder.rmdir()


if __name__ == "__main__":
    console.run(main)
