"""What all scripts share: errors in one line, exit statuses, options."""

import argparse
import io
import ipaddress
import os
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from dogs_vs_cats import progress, stopping
from dogs_vs_cats.errors import UserError, explained, shown
from dogs_vs_cats.legible import counted

SHOWN = 10  # items of a long list that are named
CLUSTER = re.compile(r"local|auto|([\w.-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")


def run(main: Callable[[], None], speaks: bool = True) -> None:
    """Call `main`; end with status 0, or 1 and one line on stderr, or 130 on Ctrl-C.

    speaks: it says now and then that it is at work. Not a server, or what runs other stages.

    SIGTERM and SIGHUP unwind `main` as Ctrl-C does, so that temporary files are removed; the status
    is 128 and the signal's number, as in a shell. Only a UserError and an OSError become one line;
    anything else is a bug and keeps its traceback. The work goes on where nobody reads stdout or
    stderr any more, or it can't show a character.
    """
    # Pillow warns of photos that are merely large or odd. Photos that can't be read are reported
    # by name.
    warnings.filterwarnings("ignore", module="PIL")
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)
    silence = progress.Silence(Path(sys.argv[0]).stem) if speaks else nullcontext()
    with stopping.signals_raised(), silence:
        _call(main)


class _Descriptor(io.FileIO):
    """A stream's bytes. Once its reader has gone, as in `make data | head -1`, they are dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for native libraries and child processes too
            os.close(null)
            if isinstance(error, BrokenPipeError):
                return super().write(data)
            error.filename = "the output"
            raise


def _lasting(stream: Any) -> Any:
    """Return stdout or stderr so that no print to it fails; None stands for a closed one."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # A file name may hold bytes that the terminal's encoding can't show.
    stream.reconfigure(errors="backslashreplace")
    if stream not in (sys.__stdout__, sys.__stderr__):  # a test's
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )


def _call(main: Callable[[], None]) -> None:
    """Call `main`; end with a status and one line if it fails."""
    try:
        main()
        sys.stdout.flush()  # now, while a failure can still change the exit status
    except UserError as error:
        _stop(str(error), 1)
    except stopping.Terminated as error:
        _stop(stopping.STOPPED, 128 + error.signal)
    except KeyboardInterrupt:
        _stop(stopping.STOPPED, 130)
    except OSError as error:
        text = explained(error)
        if text is None:
            raise
        _stop(text, 1)


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


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the options of a stage that shares its work out to a cluster."""
    parser.add_argument("--cluster", type=cluster, help="local, auto or host:port of a Ray cluster")
    parser.add_argument(
        "--insecure", action="store_true", help="join a cluster that asks for no token"
    )


def cluster(text: str) -> str:
    """Return an option's text that names a cluster; a type for argparse."""
    if not CLUSTER.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not local, auto or the host:port of a Ray cluster that runs."
        )
    return text


def positive(text: str) -> int:
    """Return an option's text as a whole number above 0; a type for argparse."""
    return whole_number(text, 1)


def whole_number(text: str, least: int, most: int = 1_000_000) -> int:
    """Return an option's text as a whole number, written in plain digits; a type for argparse."""
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}.")
    return int(text)


def port(text: str) -> int:
    """Return the port in an option's text; a type for argparse."""
    return whole_number(text, 0, 65535)


def host(text: str) -> str:
    """Return the IPv4 address in an option's text; a type for argparse."""
    try:
        address = ipaddress.IPv4Address("127.0.0.1" if text == "localhost" else text)
    except ValueError:
        address = None
    if address is None or address.is_unspecified or address.is_multicast:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an IPv4 address of this machine, such as 192.168.1.5. `ip address` "
            "lists them."
        )
    return str(address)


def printable(text: str) -> str:
    """Return `text`, quoted and escaped if a terminal would not show it as it is."""
    return text if text.isprintable() else repr(text)


def report_left_out(stage: str, what: str, why: str, places: dict[str, int]) -> None:
    """Print how many files a stage leaves out, and where. places: folder or file -> how many."""
    if not places:
        return
    count = sum(places.values())
    shown = [
        printable(place) + (f" ({n:,})" if n > 1 else "")
        for place, n in list(places.items())[:SHOWN]
    ]
    rest = len(places) - len(shown)
    shown += [f"and {rest:,} more"] if rest else []
    print(
        f"{stage}: {counted(count, what)} left out as {why}: {', '.join(shown)}",
        flush=True,
    )


def _stop(line: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(shown(line), file=sys.stderr)
    sys.exit(status)
