"""The order in which training sees photos, and how their features are read in that order."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from dogs_vs_cats.features.rows import Rows

# Bytes of rows that are shuffled among each other where arrays are read in blocks.
WINDOW = 1 << 28
PIECE = 1 << 24  # bytes of rows that are copied at once


class TrainingOrder:
    """The order of photos in each epoch of training, and the random view of each.

    Where `rows.block` is 1, photos are shuffled one by one. Else blocks of photos with adjacent
    rows are shuffled, one view a block, and then the photos within windows of WINDOW bytes: the
    disk is read in long runs, at its full speed, and a batch still mixes many blocks. While one
    window is trained on, the next is read, so two of them are in memory. Close it at the end.
    """

    def __init__(
        self, rows: Rows, chosen: np.ndarray, views: tuple[str, ...], rng: np.random.Generator
    ) -> None:
        self.rows, self.views, self.rng = rows, views, rng
        self.chosen = chosen
        self._reader = ThreadPoolExecutor(1)
        self._drawn = 0
        self.window = max(rows.block, WINDOW // (rows.dimension * 2))  # rows
        if rows.block > 1:
            self.chosen = chosen[np.argsort(rows.index[views[0]][chosen], kind="stable")]
        self.begin()

    def __len__(self) -> int:
        return len(self.chosen)

    def begin(self) -> None:
        """Draw the photos' order and views of the next epoch."""
        block, n = self.rows.block, len(self.chosen)
        blocks = self.rng.permutation(-(-n // block))
        views = self.rng.integers(len(self.views), size=len(blocks))
        # (n,): the places of the photos in `chosen`, block after block, then mixed in windows.
        lying = (blocks[:, None] * block + np.arange(block)).ravel()
        kept = lying < n  # the last block may be short
        mixed = np.arange(n)
        if block > 1:
            for start in range(0, n, self.window):
                self.rng.shuffle(mixed[start : start + self.window])
        self.photos = self.chosen[lying[kept]][mixed]
        self.view = np.repeat(views, block)[kept][mixed]
        self._drawn += 1
        self._forget()

    def _forget(self) -> None:
        self._window: tuple[int, np.ndarray] = -1, np.empty(0)
        self._next: tuple[int, Future[np.ndarray] | None] = -1, None

    def close(self) -> None:
        """Let go of what was read, and of the thread that reads."""
        self._reader.shutdown(cancel_futures=True)
        self._forget()

    def batch(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the features (n, dimension) float16 and targets (n,) of a part of the order."""
        targets = self.rows.targets[self.photos[part]]
        # Keras looks at two batches to learn their shapes, then asks for another order.
        if self.rows.block == 1 or self._drawn == 1:
            return self._read(part), targets
        first, last = part.start // self.window, (part.stop - 1) // self.window
        pieces = []
        for number in range(first, last + 1):
            begin = number * self.window
            here = slice(max(part.start - begin, 0), min(part.stop - begin, self.window))
            pieces.append(self._read_window(number)[here])
        return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)), targets

    def _read_window(self, number: int) -> np.ndarray:
        """Return the features (n, dimension) of a window; the last one is kept, the next begun."""
        if self._window[0] != number:
            if self._next[0] != number:
                self._begin_window(number)
            self._window = -1, np.empty(0)  # freed before the one after the next is read
            _, reading = self._next
            assert reading is not None
            self._window = number, reading.result()
            self._next = -1, None
            if (number + 1) * self.window < len(self):
                self._begin_window(number + 1)
        return self._window[1]

    def _begin_window(self, number: int) -> None:
        """Begin to read a window, beside whatever else is done."""
        part = slice(number * self.window, min((number + 1) * self.window, len(self)))
        self._next = number, self._reader.submit(self._read, part)

    def _read(self, part: slice) -> np.ndarray:
        """Return the features (n, dimension) of a part, read in the order they lie in."""
        photos, view = self.photos[part], self.view[part]
        features = np.empty((len(photos), self.rows.dimension), self.rows.dtype)
        for number, name in enumerate(self.views):
            here = np.flatnonzero(view == number)
            if self.rows.block > 1:
                here = here[np.argsort(self.rows.index[name][photos[here]])]
            # In pieces: what is taken is a copy of its own until it is in its place.
            step = max(1, PIECE // (self.rows.dimension * self.rows.dtype.itemsize))
            for start in range(0, len(here), step):
                piece = here[start : start + step]
                features[piece] = self.rows.take(photos[piece], name)
        return features
