"""Keys of code: they change when code changes that can decide bytes, and at no other time."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dogs_vs_cats import code_keys

CODE = '''
"""A module."""
import os

from dogs_vs_cats import progress

SCALE = 2  # why


class Point:
    """A point."""

    x: int
    y: float = 0.5


def shift(point: Point, by: float) -> float:
    """Return y, shifted."""
    if by < 0:
        raise ValueError(f"by is {by!r}, not positive")
    progress.say(f"shifting by {by:.2f}")
    assert point.x, "no x"
    return point.y * SCALE + by if f"{point.x:>{SCALE}}" "!" else -1.0
'''

FRESH = {
    "a docstring": ('"""Return y, shifted."""', '"""Return y, moved by `by`."""'),
    "a docstring that goes": ('    """A point."""\n\n', ""),
    "a module's docstring": ('"""A module."""', '"""Another."""'),
    "a comment": ("# why", "# because"),
    "an import": ("import os\n", "import sys\n"),
    "formatting": ("return point.y * SCALE + by", "return (point.y * SCALE) + by"),
    "an error text": ("by is {by!r}, not positive", "{by} is below 0. Give a larger one."),
    "an assertion's text": ('"no x"', '"x is missing"'),
    "a line of progress": ("shifting by {by:.2f}", "moving by {by}"),
    "a line of progress that goes": ('    progress.say(f"shifting by {by:.2f}")\n', ""),
    "an annotation": ("by: float) -> float", "by: int) -> object"),
    "quotes": ('"!"', "'!'"),
}
STALE = {
    "a constant": ("SCALE = 2", "SCALE = 3"),
    "an operator": ("point.y * SCALE", "point.y + SCALE"),
    "a default": ("= 0.5", "= 0.25"),
    "a condition": ("by < 0", "by <= 0"),
    "the kind of an error": ("ValueError", "TypeError"),
    "a text that is no error's": ('"!"', '"?"'),
    "a format": (":>{SCALE}", ":<{SCALE}"),
    "a field's name": ("    y: float", "    z: float"),
    "a new statement": ("    if by < 0", "    by += 1\n    if by < 0"),
}


@pytest.mark.parametrize(("old", "new"), FRESH.values(), ids=FRESH)
def test_what_computes_nothing_changes_no_key(old, new):
    assert old in CODE
    assert code_keys.canonical(CODE.replace(old, new)) == code_keys.canonical(CODE)


@pytest.mark.parametrize(("old", "new"), STALE.values(), ids=STALE)
def test_what_can_change_a_result_changes_the_key(old, new):
    assert old in CODE
    assert code_keys.canonical(CODE.replace(old, new)) != code_keys.canonical(CODE)


def test_the_key_is_that_of_all_modules_in_any_order():
    one, two = code_keys.code_key("files"), code_keys.code_key("files", "data.pixels")
    assert one != two == code_keys.code_key("data.pixels", "files")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_gives_the_same_key(version):
    python = shutil.which(f"python{version}")
    source = Path(code_keys.__file__).parents[1]
    modules = ["files", "code_keys", "data.pixels", "features.store", "features.storage_type"]
    code = f"from dogs_vs_cats import code_keys; print(code_keys.code_key(*{modules}))"
    done = python and subprocess.run(
        [python, "-c", code],
        # Where pyenv holds several, it is told which.
        env={**os.environ, "PYTHONPATH": str(source), "PYENV_VERSION": version},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done or done.returncode:
        pytest.skip(f"no Python {version} here")
    assert done.stdout.strip() == code_keys.code_key(*modules)


def test_a_module_that_gives_the_same_bytes_keeps_the_key_of_the_one_it_replaced(monkeypatch):
    before = code_keys.code_key("files")
    monkeypatch.setattr(code_keys, "SAME_BYTES", {digest_of("data.pixels"): digest_of("files")})
    code_keys._module_key.cache_clear()
    assert code_keys.code_key("data.pixels") == before
    code_keys._module_key.cache_clear()


def test_no_entry_is_left_over_of_modules_that_were_edited_since():
    modules = [".".join(x.parts) for x in relative_modules()]
    assert not code_keys.SAME_BYTES.keys() - set(map(digest_of, modules))


def relative_modules() -> list[Path]:
    return [
        path.relative_to(code_keys.PACKAGE).with_suffix("")
        for path in code_keys.PACKAGE.rglob("*.py")
        if path.stem != "__init__"
    ]


def digest_of(module: str) -> str:
    source = (code_keys.PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    return hashlib.sha256(code_keys.canonical(source).encode()).hexdigest()
