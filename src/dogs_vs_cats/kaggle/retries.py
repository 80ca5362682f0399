"""Retries: how long to wait for a server, and how often to try again. Standard library only."""

import email.utils
import os
import time
from dataclasses import dataclass

from dogs_vs_cats import progress
from dogs_vs_cats.errors import UserError

PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that may be gone on another try


@dataclass(frozen=True)
class Limits:
    """How long to wait. `KAGGLE_TIMEOUT` and `KAGGLE_PATIENCE` in the environment change it.

    timeout: seconds without a connection or a byte that end one try. patience: seconds that all
    tries of one call or download may take together. tries: how many there are at most.
    """

    timeout: float = 30
    patience: float = 90
    tries: int = 4

    @classmethod
    def from_environment(cls) -> "Limits":
        """Return the limits of this environment; UserError if one is no number above 0."""
        timeout = _seconds("KAGGLE_TIMEOUT", cls.timeout)
        return cls(timeout, _seconds("KAGGLE_PATIENCE", cls.patience))


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise UserError(f"{name} is {text!r}. Set it to a number of seconds above 0.")
    return value


def pause(limits: Limits, tries: int, began: float, reason: str, wait: float | None) -> bool:
    """Wait before the next try and return True; False if tries or patience have run out.

    tries: how many there were so far. began: time.monotonic() at the first. wait: seconds that the
    server asked for, if it did; otherwise waits double: 3, 6 and 12 s with the default patience.
    """
    delay = limits.patience / 60 * 2**tries if wait is None else wait
    if tries >= limits.tries or time.monotonic() - began + delay > limits.patience:
        return False
    progress.say(f"{reason}; trying again in {delay:.0f} s")
    time.sleep(delay)
    return True


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
