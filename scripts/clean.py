"""Say what could be freed, and free it when told to; downloads are never touched."""

import argparse
import shutil

from dogs_vs_cats import console, files, status, workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", help="only what belongs to this one (default: to all)")
    parser.add_argument("--yes", action="store_true", help="remove it")
    args = parser.parse_args()
    found = status.freed(workspace.check_name(args.dataset) if args.dataset else None)
    for folder, size in found:
        print(f"clean: {folder}: {files.size_text(size)}")
        if args.yes:
            shutil.rmtree(folder)
    if not found:
        print("clean: nothing to free")
    elif args.yes:
        print("clean: removed")
    else:
        total = files.size_text(sum(size for _, size in found))
        print(f"clean: {total} in all; `make clean YES=1` removes it, and stages make it again.")
    print("clean: data/, weights/ and submissions/ are never touched")


if __name__ == "__main__":
    console.run(main)
