"""The README and the help say what is true."""

import re
import shlex
import subprocess
import sys

from dogs_vs_cats.config import recipe_files
from support.commands import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_every_command_in_the_readme_is_one_that_make_knows():
    shown = commands()
    assert {"make demo", "make test"} <= set(shown)
    for line in shown:
        for part in line.split("&&"):
            if not part.strip().startswith("make"):
                continue
            words = shlex.split(part)[1:]
            done = subprocess.run(
                ["make", "-n", f"PYTHON={sys.executable}", *words],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{part}: {done.stderr}"


def test_every_variable_in_the_readme_is_in_the_help():
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for variable in set(re.findall(r"\b([A-Z]{2,})=", "\n".join(commands()))):
        assert f"{variable}=" in shown.stdout, variable


def test_help_is_one_screen_and_lists_every_target():
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = shown.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    phony = re.search(r"\.PHONY: ((?:.|\\\n)*?)(?<!\\)\n", MAKEFILE)[1].replace("\\\n", " ").split()
    for target in set(phony) - {"packages", "own", "exportable", "switches"}:
        assert f"make {target} " in shown.stdout


def test_every_recipe_is_read_and_is_in_the_readme():
    for name in recipe_files.names():
        assert recipe_files.read(name).about
        assert f"`{name}`" in README


def test_the_pins_are_exact_and_pillow_is_below_13():
    pins = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in pins.splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==[\w.]+( ;.*)?$", line) for line in lines)
    version = next(line for line in lines if line.startswith("pillow=="))
    assert int(version.split("==")[1].split(".")[0]) < 13


def test_only_one_module_opens_images_and_none_imports_tensorflow():
    for path in (PROJECT / "src").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) (tensorflow|tf)\b", code, re.M), path
        if path.name not in ("pixels.py",):
            assert "Image.open(" not in code, path
        # The rehearsal is the other side: it has answers of its own.
        reads_answers = {"workspace.py", "dataset.py", "holdout_score.py", "estimates.py"}
        if path.parent.name != "rehearsal" and path.name not in reads_answers:
            assert ".answers" not in code, path
