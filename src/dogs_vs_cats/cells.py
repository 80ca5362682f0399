"""A stage as a notebook's cell calls it: what a user can mend is one line, as in a terminal."""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from dogs_vs_cats import progress, stopping
from dogs_vs_cats.errors import UserError, explained, shown

Options = ParamSpec("Options")
Result = TypeVar("Result")


class Stopped(KeyboardInterrupt):
    """The stop button of a notebook. The text says how to go on."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [shown(str(self))]


def stage(name: str) -> Callable[[Callable[Options, Result]], Callable[Options, Result]]:
    """Decorate a stage, called `name` where it says that it is still at work.

    In a notebook, an interrupt and an OSError that a user can do something about end it in one
    line. Within another stage, and in a script, which do all of this, it is called as it is.
    """

    def decorate(function: Callable[Options, Result]) -> Callable[Options, Result]:
        @functools.wraps(function)
        def called(*args: Options.args, **options: Options.kwargs) -> Result:
            if progress.Silence.running:
                return function(*args, **options)
            with _in_one_line(), progress.Silence(name), warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="PIL")  # as console.run does
                # cleanlab imports tqdm's widgets, which need ipywidgets; no bar of ours is one.
                warnings.filterwarnings("ignore", message="IProgress not found")
                return function(*args, **options)

        return called

    return decorate


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Let errors of the block be one line in a notebook."""
    if not progress.in_notebook():
        yield
        return
    try:
        with stopping.imports_finished():
            yield
    except KeyboardInterrupt:
        raise Stopped(_of_cells(stopping.STOPPED)) from None
    except OSError as error:
        text = explained(error)
        if text is None:
            raise
        raise UserError(_of_cells(text)) from error


def _of_cells(text: str) -> str:
    return text.replace("run the same command", "run the same cell")
