"""A bar of tqdm's as an output of a notebook's cell, which changes in place.

It is plain text, so that a saved notebook keeps its last state. tqdm.notebook's bar is a widget: it
shows that a notebook was saved without its widgets as "0%", and needs ipywidgets.
"""

import io
from typing import Any

from tqdm import tqdm

INTERVAL = 0.5  # seconds from change to change
WIDTH = 100  # characters


class CellBar(tqdm):
    """A bar that is displayed when it has something to show first, and changed from then on."""

    def __init__(self, **options: Any) -> None:
        self._output: Any = None  # IPython's handle of what is displayed
        # Nothing reaches the file: `display` replaces all that does.
        super().__init__(
            file=io.StringIO(), ascii=False, ncols=WIDTH, mininterval=INTERVAL, **options
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Show `msg`, or how far the work is; tqdm calls it."""
        from IPython.display import display

        shown = {"text/plain": str(self) if msg is None else msg}
        if self._output is None:
            self._output = display(shown, raw=True, display_id=True)
        else:
            self._output.update(shown, raw=True)
        return True
