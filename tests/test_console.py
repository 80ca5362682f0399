"""console: with which status and line a script ends."""

import os
import subprocess
import sys

import pytest

from dogs_vs_cats import console, stopping
from dogs_vs_cats.errors import UserError, did_you_mean

SCRIPT = """
import sys
from dogs_vs_cats import console, stopping
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
@pytest.mark.parametrize("reader", [True, False])
def test_the_status_says_how_the_work_ended_with_and_without_a_reader_of_stdout(
    here, flush, reader
):
    """`make predict CSV=out.csv | head -1`: the CSV is written."""
    more = "print('more', flush=True); open('written', 'w')"
    assert ended(flush, more, reader) == (0, "")
    assert (here / "written").exists()
    line = "error: a is missing.\n"
    assert ended(flush, "raise UserError('a is missing.')", reader) == (1, line)
    assert ended(flush, "raise KeyboardInterrupt", reader) == (130, f"error: {stopping.STOPPED}\n")


def test_output_that_can_not_be_written_is_one_line(here):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(flush=False, rest="pass")],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: Can't write the output: No space left on device.")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--threads=2x", "THREADS='2x' is not a whole number from 1 to 1000000."),
        ("--threads=0", "THREADS='0' is not a whole number from 1 to 1000000."),
        ("--threads=\uff12", "THREADS='\uff12' is not a whole number from 1 to 1000000."),
        ("--threads=\u0662", "THREADS='\u0662' is not a whole number from 1 to 1000000."),
        ("--threads=\u00b2", "THREADS='\u00b2' is not a whole number from 1 to 1000000."),
        ("--threads=1_0", "THREADS='1_0' is not a whole number from 1 to 1000000."),
        ("--threads=", "THREADS='' is not a whole number from 1 to 1000000."),
        ("--threads=" + "9" * 5000, "THREADS='9999"),
        ("--upload=2", "UPLOAD: invalid choice: '2'"),
        ("more", "Unrecognized arguments: more. `make help` lists the variables."),
    ],
)
def test_a_message_calls_an_option_as_it_was_typed_for_make(option, line):
    parser = console.arguments("")
    parser.add_argument("--upload", choices=("0", "1"))
    with pytest.raises(UserError) as error:
        parser.parse_args([option])
    assert str(error.value).startswith(line)
    assert "--" not in str(error.value)


def test_a_name_is_suggested_if_it_is_like_what_was_typed():
    names = ["fast", "best", "Seed"]
    assert did_you_mean("bset", names) == " Did you mean 'best'?"
    assert did_you_mean("SEED ", names) == " Did you mean 'Seed'?"
    assert did_you_mean("zero-shot", names) == did_you_mean("", names) == ""


def test_of_many_files_left_out_the_first_places_are_named_and_the_rest_counted(capsys):
    places = {"a/": 1000, "two\nlines": 1} | {f"{n}.mov": 1 for n in range(8)}
    console.report_left_out("data", "file", "no photos", places)
    console.report_left_out("data", "file", "no photos", places | {"b.mov": 1, "c/": 2})
    console.report_left_out("data", "file", "no photos", {})
    ten = f"a/ (1,000), 'two\\nlines', {', '.join(f'{n}.mov' for n in range(8))}"
    assert capsys.readouterr().out == (
        f"data: 1,009 files left out as no photos: {ten}\n"
        f"data: 1,012 files left out as no photos: {ten}, and 2 more\n"
    )


@pytest.mark.parametrize("cluster", ["", "head", "10.0.0.1", "ray://head:10001", "head:port"])
def test_a_cluster_is_local_or_auto_or_an_address(cluster, refuse):
    assert "is not local, auto or the host:port" in refuse("features", "--cluster", cluster)
    for good in "local", "auto", "head-1.example:6379", "10.0.0.1:6379", "[fd00::1]:6379":
        assert console.cluster(good) == good
