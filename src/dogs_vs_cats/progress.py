"""Progress of a stage: lines on stdout, and bars on stderr where it is a terminal."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dogs_vs_cats.errors import UserError

if TYPE_CHECKING:
    from tqdm import tqdm


SEEDED = 10.0  # seconds of an expected rate that count as measured already


def bar(
    total: int,
    description: str,
    unit: str = " photos",
    done: int = 0,
    delay: float = 0,
    expected: float | None = None,
) -> "tqdm":
    """Return a tqdm bar over `total` units with rate and time left, on stderr.

    done: units that an earlier run finished; they don't count towards the rate. delay: seconds
    before the bar is shown, so that quick work has none. expected: units a second; the rate and
    time left begin with it and follow what is measured. A bar inside another one is removed when it
    ends.
    """
    from tqdm import tqdm

    shown = tqdm(
        total=total,
        desc=description,
        unit=unit,
        initial=done,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
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


def say(line: str) -> None:
    """Print a line without delay, even to a pipe; above a bar, where one is shown."""
    if "tqdm" not in sys.modules:  # half the time of a stage that has nothing to do
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
