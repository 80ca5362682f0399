"""console: with which status and line a script ends."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from dogs_vs_cats import console
from dogs_vs_cats.errors import UserError

def main():
    print("begun", flush={flush})
    {rest}

console.run(main)
"""


def ended(flush: bool, rest: str, reader: bool = False) -> tuple[int, str]:
    """Run a script whose stdout nobody reads, unless `reader`; return its status and stderr."""
    read, write = os.pipe()
    if not reader:
        os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(flush=flush, rest=rest)],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    if reader:
        os.close(read)
    return done.returncode, done.stderr


@pytest.mark.parametrize("flush", [True, False])
def test_without_a_reader_of_stdout_the_status_is_141_and_no_line_is_printed(here, flush):
    """`make predict CSV=out.csv | head -1`: the CSV may not be written."""
    for rest in "pass", "raise UserError('a is missing.')":
        assert ended(flush, rest) == (141, "")


def test_with_a_reader_the_status_says_how_the_work_ended(here):
    assert ended(False, "pass", reader=True) == (0, "")
    line = "error: a is missing.\n"
    assert ended(False, "raise UserError('a is missing.')", reader=True) == (1, line)
    assert ended(False, "raise KeyboardInterrupt", reader=True)[0] == 130
