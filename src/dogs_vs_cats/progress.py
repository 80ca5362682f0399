"""What a stage tells while it works: lines on stdout, bars on stderr for people at a terminal."""

import sys


def bar(total: int, what: str, unit: str = " photos", done: int = 0, delay: float = 0):
    """Return a tqdm bar over `total` units with rate and time left, on stderr.

    tqdm measures the rate from this run alone, so `done` units of an earlier run count towards
    the whole but not towards the speed. A bar within another's time goes when it is done; what
    ends within `delay` seconds has none.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        initial=done,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        smoothing=0.1,
        leave=None,
        delay=delay,
    )


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)
