"""Progress of a stage: lines on stdout, and bars on stderr where it is a terminal.

In a notebook a bar is an output of the cell.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import duration

if TYPE_CHECKING:
    from tqdm import tqdm

HEARTBEAT = 30.0  # seconds from line to line where no bar can be drawn
BYTES = "B"  # the unit that is shown as MB
SEEDED = 10.0  # seconds of an expected rate that count as measured already


def bar(
    total: int,
    description: str,
    unit: str = " photos",
    done: int = 0,
    delay: float = 0,
    expected: float | None = None,
) -> "tqdm | Heartbeat":
    """Return a bar over `total` units (0: unknown) with rate and time left: tqdm's, on stderr.

    In a notebook it is an output of its own that changes in place. Where nobody sees it change, as
    in a log or in a notebook that Kaggle runs by itself, it is a Heartbeat. done: units that an
    earlier run finished; they don't count towards the rate. delay: seconds before the bar is shown,
    so that quick work has none. expected: units a second; the rate and time left begin with it and
    follow what is measured. A bar inside another one is removed when it ends.
    """
    terminal = sys.stderr.isatty()
    if not terminal and not (in_notebook() and _attended()):
        return Heartbeat(total, description, unit, done)
    from tqdm import tqdm

    from dogs_vs_cats.cell_bar import CellBar

    shown = (tqdm if terminal else CellBar)(
        total=total,
        desc=description,
        unit=unit,
        unit_scale=unit == BYTES,
        initial=done,
        dynamic_ncols=terminal,
        smoothing=0.1,
        leave=None,
        delay=delay,
    )
    if expected and not shown.disable:
        # As if it had been measured: the first tick, a batch that comes at once, decides little.
        shown._ema_dn(expected * SEEDED)
        shown._ema_dt(SEEDED)
        shown.refresh()
    return shown


def in_notebook() -> bool:
    """Return whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _attended() -> bool:
    """Return False for Kaggle's "Save & Run All", whose log shows lines alone while it runs."""
    return os.environ.get("KAGGLE_KERNEL_RUN_TYPE") != "Batch"


class Heartbeat:
    """Stands for a bar where none can be drawn: says each half minute how far the work is.

    n: units that are done. initial: those of them that don't count towards the rate. A thread says
    it, so that it is said during a long step too.
    """

    running = 0

    def __init__(self, total: int, description: str, unit: str, done: int) -> None:
        self.n = self.initial = done
        self._total, self._description, self._unit = total, description, unit
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heartbeat":
        Heartbeat.running += 1
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        Heartbeat.running -= 1
        self._ended.set()
        self._thread.join()

    def update(self, units: int = 1) -> None:
        """Count units that were done since the last call."""
        self.n += units

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            say(self.line(time.monotonic() - self._began))

    def line(self, seconds: float) -> str:
        """Return how far the work is after so many seconds: `features: 60 of 300 views, ...`."""
        scale, unit = (1e6, " MB") if self._unit == BYTES else (1, self._unit)
        of_all = f" of {self._total / scale:,.0f}" if self._total else ""
        text = f"{self._description}: {self.n / scale:,.0f}{of_all}{unit}"
        rate = (self.n - self.initial) / scale / seconds
        if not rate:
            return f"{text}, {duration(seconds)} so far"
        if unit == " s":  # how long something may take at most
            return text
        digits = int(rate < 10)
        speed = f"{rate:,.{digits}f} a second" if rate >= 0.2 else f"{duration(1 / rate)} each"
        text = f"{text}, {speed}"
        if self._total:
            text += f", {duration(max(0, self._total - self.n) / scale / rate)} left"
        return text


class Silence:
    """Says that a stage is at work where it has said nothing for half a minute and no bar is shown.

    It covers what can't be measured, such as a library that converts a network.
    """

    last_line = 0.0  # when any was said
    running = 0  # how many stages are covered

    def __init__(self, stage: str) -> None:
        self._stage, self._began = stage, time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        Silence.running += 1

    def __exit__(self, *_: object) -> None:
        Silence.running -= 1
        self._ended.set()
        self._thread.join(1)  # tqdm keeps its lock where Ctrl-C cuts off the drawing of a bar

    def _watch(self) -> None:
        while not self._ended.wait(HEARTBEAT / 30):
            now = time.monotonic()
            if now - max(self._began, Silence.last_line) >= HEARTBEAT and not _bars():
                say(f"{self._stage}: still at work, {duration(now - self._began)} so far")


def _bars() -> bool:
    """Return whether a bar is shown, or stands for one that can't be."""
    drawn = sys.modules["tqdm"].tqdm._instances if "tqdm" in sys.modules else ()
    return Heartbeat.running > 0 or len(drawn) > 0


def say(line: str) -> None:
    """Print a line without delay, even to a pipe; above a bar, where one is shown."""
    Silence.last_line = time.monotonic()
    if sys.modules.get("tqdm") is None:  # half the time of a stage that has nothing to do
        print(line, flush=True)
        return
    from tqdm import tqdm

    with tqdm.external_write_mode():
        print(line, flush=True)


@contextmanager
def native_stderr_muted() -> Iterator[None]:
    """Hold back what native libraries write to stderr; show it if the block fails.

    TensorFlow logs to file descriptor 2 before any of its settings takes effect.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
