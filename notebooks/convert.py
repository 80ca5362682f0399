"""Write the notebooks from the Python files beside this one: python notebooks/convert.py"""

from pathlib import Path

import jupytext
import nbformat

HERE = Path(__file__).parent


def converted(source: Path) -> str:
    """Return the notebook of a file in jupytext's percent format, the same text every time."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata.pop("jupytext", None)  # it has jupytext's version
    notebook.nbformat_minor = 4  # from 5 on, cells have random ids
    for cell in notebook.cells:
        cell.pop("id", None)
    return nbformat.writes(notebook) + "\n"


def main() -> None:
    for name in "kaggle", "colab":
        (HERE / f"{name}.ipynb").write_text(converted(HERE / f"{name}.py"), encoding="utf-8")


if __name__ == "__main__":
    main()
