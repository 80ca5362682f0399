"""The machine that a hosted notebook runs on, in a line or two. Standard library alone."""

import socket

from dogs_vs_cats import environment, progress

OUTSIDE = ("www.kaggle.com", 443)
PATIENCE = 3.0  # seconds for an answer; where the internet is off, looking up the name fails first


def say(accelerator: str, online: bool) -> None:
    """Say what will compute, and whether the internet is on. accelerator: how to get a GPU."""
    what = environment.processor()
    if environment.gpu():
        progress.say(f"notebook: computes on the GPU ({what})")
    else:
        progress.say(f"notebook: computes on the processor ({what}); for a GPU: {accelerator}")
    progress.say(f"notebook: the internet is {'on' if online else 'off'}")


def online() -> bool:
    """Return whether the internet can be reached."""
    try:
        socket.create_connection(OUTSIDE, PATIENCE).close()
    except OSError:
        return False
    return True
