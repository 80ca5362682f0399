"""Stopping: Ctrl-C and the system's signals end the work in order, and Ctrl-C is answered at once.

What handles a signal in Python waits until the main thread is out of native code, such as a batch
of the network. So a thread answers.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType

STOPPED = "Stopped. Finished work is kept: run the same command again to go on."
AT_ONCE = "error: Stopped at once. Finished work is kept: run the same command again to go on."
MORE = "; Ctrl-C again stops at once"

_answers = ["stopping"]  # the last one is given


class Terminated(KeyboardInterrupt):
    """SIGTERM, or the terminal's end, as an exception; `signal` is its number."""

    def __init__(self, signal: int):
        super().__init__()
        self.signal = signal


@contextmanager
def answered(line: str) -> Iterator[None]:
    """Answer Ctrl-C in the block with `line`: what it stops after. "" answers nothing."""
    _answers.append(line)
    try:
        yield
    finally:
        _answers.pop()


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore Ctrl-C in the block, and in processes that begin in it. For the main thread."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def signals_raised() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block on Ctrl-C, and Terminated on SIGTERM and SIGHUP.

    Those that are ignored stay so. Only the first one is raised: make passes on a signal that the
    whole process group got already, and the second must not end the clean-up after the first. But
    a second Ctrl-C ends the process without any clean-up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    kinds = [getattr(signal, x) for x in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, x)]
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    before = {kind: handler for kind, handler in before.items() if handler in defaults}
    stop, hook = _Stop(), sys.unraisablehook
    for kind in before:
        signal.signal(kind, stop.raised)
    sys.unraisablehook = lambda lost: stop.lost(lost.exc_value) or hook(lost)
    try:
        with stop.watched() if signal.SIGINT in before else nullcontext():
            yield
    finally:
        sys.unraisablehook = hook
        for kind, handler in before.items():
            # The interpreter takes seconds to end; Ctrl-C ends that too.
            signal.signal(kind, signal.SIG_DFL if stop.has_come else handler)


@contextmanager
def imports_finished() -> Iterator[None]:
    """Let Ctrl-C wait in the block until an import is finished. For a process that goes on.

    Half-imported modules written in C, such as those of pandas, can't be imported again. Where
    Python ignores errors, as in a destructor, it is raised again soon after.
    """
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield
        return
    hook = sys.unraisablehook
    sys.unraisablehook = lambda lost: (
        _send_soon(signal.SIGINT) if isinstance(lost.exc_value, KeyboardInterrupt) else hook(lost)
    )
    around = _imports(sys._getframe())  # those that the block itself is a part of

    def raised(number: int, frame: FrameType | None) -> None:
        if _imports(frame) > around:
            _send_soon(number)
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, raised)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook


def _imports(frame: FrameType | None) -> int:
    """Return how many frames of a stack belong to imports that are under way."""
    count = 0
    while frame:
        count += frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        frame = frame.f_back
    return count


def _send_soon(number: int) -> None:
    threading.Timer(0.1, _interrupt_main, [number]).start()


def _interrupt_main(number: int) -> None:
    """Send the main thread a signal; it wakes one that waits, except on Windows."""
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        main = threading.main_thread().ident
        assert main is not None, "it runs"
        signal.pthread_kill(main, number)


class _Stop:
    """The signal that has come, and the answer to Ctrl-C."""

    def __init__(self) -> None:
        self.has_come = False
        self._repeated = False  # by us
        self._answered = threading.Event()

    def raised(self, number: int, frame: FrameType | None) -> None:
        """Raise what stands for the first signal; a handler of signals."""
        if self.has_come:
            return
        self.has_come = True
        if number != signal.SIGINT:
            raise Terminated(number)
        self._answered.wait(1)  # or what stops quickly would say so first
        raise KeyboardInterrupt

    def lost(self, error: BaseException | None) -> bool:
        """Raise a signal again, soon, that was raised where Python ignores errors.

        As in a destructor, or when JAX is told that garbage is collected. Return whether it was.
        """
        if not isinstance(error, KeyboardInterrupt):
            return False
        number = error.signal if isinstance(error, Terminated) else signal.SIGINT
        self.has_come, self._repeated = False, True
        threading.Timer(0.1, _thread.interrupt_main, [number]).start()
        return True

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Answer the first Ctrl-C in the block, and end the process at the second."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)  # as Python asks
        stderr = os.dup(2)  # which may be muted when the signal comes
        thread = threading.Thread(target=self._watch, args=(reader, stderr), daemon=True)
        thread.start()
        before = signal.set_wakeup_fd(writer)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(writer)
            thread.join()
            os.close(reader)
            os.close(stderr)

    def _watch(self, reader: int, stderr: int) -> None:
        """Read the numbers of signals as they arrive."""
        while number := os.read(reader, 1):
            if self._repeated or number[0] != signal.SIGINT:
                self._repeated = False
                continue
            if self._answered.is_set():
                if _answers[-1]:
                    _write(stderr, AT_ONCE)
                os._exit(128 + signal.SIGINT)
            if _answers[-1]:
                _write(stderr, _answers[-1] + MORE)
            self._answered.set()


def _write(stderr: int, line: str) -> None:
    # Over the bar and the ^C that a terminal shows. tqdm would wait for its lock, which the main
    # thread may hold.
    begin = "\r\x1b[K" if os.isatty(stderr) else ""
    with suppress(OSError):  # as where nobody reads it any more
        os.write(stderr, f"{begin}{line}\n".encode())
