"""What every script does around its work: errors in one line, an exit status, no chatter."""

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Callable

from dogs_vs_cats.errors import UserError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def run(main: Callable[[], None]) -> None:
    """Call `main`; end with status 0, or 1 and one line on stderr, or 130 on Ctrl-C.

    Only a UserError and what the operating system refuses become one line. Anything else is a
    defect of ours and keeps its traceback. Where the reader of stdout has gone there is no line,
    but the status is 141, as a shell has it of what SIGPIPE ends: what was to do may not be done.
    """
    # A photo that Pillow finds merely large or odd is no news to the user; one that can't be
    # read is reported by name in photos.csv.
    warnings.filterwarnings("ignore", module="PIL")
    # A file's name may hold bytes that the terminal's encoding has no letter for.
    for stream in sys.stdout, sys.stderr:
        stream.reconfigure(errors="backslashreplace")
    try:
        _told(main)
    except BrokenPipeError:
        # `make status | head`: the reader has seen enough. Python flushes stdout once more at
        # exit, which must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _told(main: Callable[[], None]) -> None:
    """Call `main`; end with a status and one line if it fails. BrokenPipeError is passed on."""
    try:
        main()
        sys.stdout.flush()  # at exit it would be too late to say how it went
    except UserError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        _stop("Stopped. What is finished is kept: run the same command again to go on.", 130)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            _stop(
                f"Expected room on the disk to write {error.filename or 'a file'}. "
                f"Received: {error.strerror}. Free some space, then run the same command again: "
                "what is finished is kept.",
                1,
            )
        if error.filename is None:
            raise
        _stop(
            f"Expected to be able to use {error.filename}. Received: {error.strerror}. "
            "Check that it exists and that you may read and write it.",
            1,
        )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with status 1, like all of ours."""

    def error(self, message: str) -> None:
        raise UserError(f"Expected options as `--help` shows them. Received a mistake: {message}.")


def arguments(description: str) -> Parser:
    """Return a parser with the options that all stages share."""
    parser = Parser(description=description)
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    parser.add_argument(
        "--recipe", default="fast", help="a name in recipes/, or a .toml file; several: a blend"
    )
    parser.add_argument("--engine", default="keras", help="keras or openvino")
    parser.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or int8")
    parser.add_argument("--threads", type=positive, help="processor threads (default: all)")
    return parser


def positive(text: str) -> int:
    """Return the whole number above 0 that an option's text is; for argparse."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return int(text)


def _stop(line: str, status: int) -> None:
    sys.stdout.flush()
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)
