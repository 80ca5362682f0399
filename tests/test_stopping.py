"""stopping: Ctrl-C is answered at once, stops once, and the second time whatever goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dogs_vs_cats.stopping import AT_ONCE, MORE, STOPPED

SCRIPT = """
import gc, hashlib, signal, time
from dogs_vs_cats import console, progress, stopping

def native():
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 30_000_000)  # seconds, in which no handler runs

def wait():
    print("begun", flush=True)
    for _ in range(200):
        time.sleep(0.05)

def lost(phase, info):
    if phase == "start":
        gc.callbacks.clear()
        wait()

def main():
{main}

console.run(main)
"""
ANSWER = f"stopping{MORE}\n"
STOP = f"error: {STOPPED}\n"


@contextmanager
def begun(
    main: str, handler: signal.Handlers = signal.SIG_DFL, stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen]:
    """Run a script that says when it has begun. handler: of Ctrl-C, when it starts."""
    lines = "".join(f"    {line}\n" for line in main.splitlines())
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(main=lines)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    ) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.1)  # a print that is cut off is repeated
            yield process
        finally:
            process.kill()


def test_ctrl_c_is_answered_in_native_code_and_the_second_ends_it():
    with begun("native()") as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == ANSWER
        assert process.poll() is None, "it says so while it goes on"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == f"{AT_ONCE}\n"
        assert process.wait() == 130


@pytest.mark.parametrize(
    ("main", "answer"),
    [
        ("wait()", ANSWER),
        ("with progress.native_stderr_muted():\n    wait()", ANSWER),
        (
            "with stopping.answered('stopping after this batch'):\n    wait()",
            f"stopping after this batch{MORE}\n",
        ),
        ("with stopping.answered('after this'):\n    pass\nwait()", ANSWER),
        ("with stopping.answered(''):\n    wait()", ""),
    ],
)
def test_the_answer_says_what_it_stops_after_and_then_it_stops(main, answer):
    with begun(main) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == answer + STOP
        assert process.wait() == 130


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, ANSWER + STOP), (signal.SIGTERM, STOP)]
)
def test_a_signal_that_comes_where_python_ignores_errors_stops_all_the_same(number, words):
    """As JAX's callback for garbage, which Keras may import, ignores them."""
    with begun("gc.callbacks.append(lost)\ngc.collect()\nwait()") as process:
        process.send_signal(number)
        assert process.stderr.read() == words
        assert process.wait() == 128 + number


def test_what_follows_the_first_signal_does_not_cut_off_the_clean_up():
    main = """
try:
    wait()
finally:
    print("cleaning", flush=True)
    time.sleep(0.5)
    print("clean", flush=True)
"""
    with begun(main) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning\n"
        for number in signal.SIGHUP, signal.SIGTERM:
            process.send_signal(number)
            time.sleep(0.1)
        assert process.stdout.read() == "clean\n"
        assert process.wait() == 130


def test_a_bar_that_is_cut_off_while_it_is_drawn_holds_up_nobody():
    """Its lock is then held for good; what other threads say waits for it."""
    main = """
from tqdm import tqdm
progress.HEARTBEAT = 0.05
tqdm.get_lock().acquire()
with progress.Silence("features"):
    wait()
"""
    with begun(main) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == ANSWER
        assert process.wait(20) == 130


def test_where_ctrl_c_is_ignored_the_work_goes_on():
    """As under nohup, or in the background of a shell script."""
    with begun("wait()", signal.SIG_IGN) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None


def test_a_terminal_shows_the_answer_in_place_of_ctrl_c():
    ours, theirs = os.openpty()
    with begun("wait()", stderr=theirs) as process:
        process.send_signal(signal.SIGINT)
        process.wait()
    assert os.read(ours, 1000).decode().startswith(f"\r\x1b[K{ANSWER.strip()}\r\nerror: ")
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("seconds", [0, 60])
def test_ctrl_c_ends_the_process_that_proves_what_this_machine_computes(seconds):
    """The terminal sends it to that process too, at work or not, which has nothing to say."""
    main = f"""
from dogs_vs_cats.cluster import team
slow = team.Work("features", int, {{signal.SIGUSR1}}, signal.sigtimedwait, str, "", 0, {seconds})
with team._reference(slow):
    time.sleep(1)
    wait()
"""
    with begun(main) as process:
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr.read() == ANSWER + STOP
        assert process.wait() == 130
        assert time.monotonic() - began < 30


GOES_ON = """
import signal, sys, time
from dogs_vs_cats import stopping

began = time.monotonic()
with stopping.imports_finished():
    try:
        import slow
        getattr(slow, "Odd", int)()
        time.sleep(60)
    except KeyboardInterrupt:
        print("finished", hasattr(sys.modules.get("slow"), "finished"))
print("at once", time.monotonic() - began < 30)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
SLOW = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.2)
finished = True
"""
DESTRUCTOR = """
import os, signal
class Odd:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
finished = True
"""


@pytest.mark.parametrize("module", [SLOW, DESTRUCTOR], ids=["import", "destructor"])
def test_where_the_process_goes_on_an_import_is_finished_and_no_signal_is_lost(here, module):
    (here / "slow.py").write_text(module)
    done = subprocess.run(
        [sys.executable, "-c", GOES_ON],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("finished True\nat once True\nTrue\n", "")


IMPORTED = """
import os, signal
from dogs_vs_cats import stopping
try:
    with stopping.imports_finished():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
    print("ignored")
except KeyboardInterrupt:
    print("stopped")
"""


def test_a_block_that_an_import_runs_is_stopped(here):
    """As stages in a module that a notebook imports, such as Kaggle's utility scripts."""
    (here / "script.py").write_text(IMPORTED)
    done = subprocess.run(
        [sys.executable, "-c", "import script"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("stopped\n", "")
