"""What all scripts share: errors in one line, exit statuses, options."""

import argparse
import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from dogs_vs_cats.errors import UserError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def run(main: Callable[[], None]) -> None:
    """Call `main`; end with status 0, or 1 and one line on stderr, or 130 on Ctrl-C.

    Only a UserError and an OSError become one line; anything else is a bug and keeps its
    traceback. If the reader of stdout has gone, there is no line, but the work may not be
    finished: the status is 141, as in a shell for a process that SIGPIPE ends.
    """
    # Pillow warns of photos that are merely large or odd. Photos that can't be read are reported
    # by name.
    warnings.filterwarnings("ignore", module="PIL")
    # A file name may hold bytes that the terminal's encoding can't show.
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _call(main)
    except BrokenPipeError:
        # `make status | head`: Python flushes stdout once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _call(main: Callable[[], None]) -> None:
    """Call `main`; end with a status and one line if it fails. BrokenPipeError is raised."""
    try:
        main()
        sys.stdout.flush()  # now, while a failure can still change the exit status
    except UserError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        _stop("Stopped. Finished work is kept: run the same command again to go on.", 130)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            _stop(
                f"Can't write {error.filename or 'a file'}: {error.strerror}. Free some space on "
                "the disk, then run the same command again: finished work is kept.",
                1,
            )
        if error.filename is None:
            raise
        _stop(
            f"Can't use {error.filename}: {error.strerror}. Check that it exists and that you may "
            "read and write it.",
            1,
        )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with status 1, like all others.

    An option is called as the user of make typed it: PORT for --port.
    """

    def error(self, message: str) -> NoReturn:
        problem = re.fullmatch(r"argument --([\w-]+): (.*)", message, re.DOTALL)
        if problem:
            variable, text = problem[1].replace("-", "_").upper(), problem[2]
            raise UserError(f"{variable}={text}" if text[:1] in "'\"" else f"{variable}: {text}.")
        raise UserError(f"{message[:1].upper()}{message[1:]}. `make help` lists the variables.")


def arguments(
    description: str, dataset: str = "its name (default: that of the last `make data`)"
) -> Parser:
    """Return a parser with the options that most stages share. dataset: the help of --dataset."""
    parser = Parser(description=description)
    parser.add_argument("--dataset", help=dataset)
    parser.add_argument(
        "--recipe", default="fast", help="a name in recipes/, or a .toml file; several: a blend"
    )
    parser.add_argument("--engine", default="keras", help="keras or openvino")
    parser.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or int8")
    parser.add_argument("--threads", type=positive, help="processor threads (default: all)")
    return parser


def positive(text: str) -> int:
    """Return an option's text as a whole number above 0; a type for argparse."""
    return whole_number(text, 1)


def whole_number(text: str, least: int, most: int = 1_000_000) -> int:
    """Return an option's text as a whole number, written in plain digits; a type for argparse."""
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}.")
    return int(text)


def _stop(line: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)
