"""What an edit of the code makes stale: what it can change, and nothing else."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import PROJECT
from support.prepared import copy_of

RECIPE = "tiny.toml other.toml"  # a blend, so that heads, weights and a CSV of both kinds are there


@pytest.fixture
def edited(made, tmp_path, monkeypatch):
    """A copy of a finished workspace, and a copy of the code to edit; returns the code's folder."""
    copy_of(made, tmp_path / "work")
    shutil.copytree(PROJECT / "src", tmp_path / "src")
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "src" / "dogs_vs_cats"


def stage(code: Path, name: str, *options: str) -> str:
    """Run a stage of the edited code; return what it printed. TensorFlow can't be imported."""
    (code.parent / "tensorflow.py").write_text("raise SystemExit('TensorFlow is not wanted')")
    done = subprocess.run(
        [sys.executable, code.parents[1] / "scripts" / f"{name}.py", *options],
        env={**os.environ, "PYTHONPATH": str(code.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def substitute(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} no longer has {old}"
    path.write_text(text.replace(old, new))


class Reworded(ast.NodeTransformer):
    """Other docstrings, and other texts in every `raise`; comments and formatting go anyway."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = "Another docstring."
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        class Texts(ast.NodeTransformer):
            def visit_Constant(self, node: ast.Constant) -> ast.AST:
                return ast.Constant(node.value + "!") if isinstance(node.value, str) else node

        return Texts().visit(node)


def test_docstrings_comments_formatting_and_error_texts_leave_everything_fresh(edited):
    for path in edited.rglob("*.py"):
        tree = Reworded().visit(ast.parse(path.read_text()))
        path.write_text("# another comment\n" + ast.unparse(ast.fix_missing_locations(tree)))
    for name in "features", "train", "submit":
        upload = ["--upload", "0"] if name == "submit" else []
        printed = stage(edited, name, "--recipe", RECIPE, *upload)
        assert "up to date" in printed
    assert "stale" not in stage(edited, "status", "--recipe", RECIPE)


def contents(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_another_colour_draws_the_curves_again_and_makes_nothing_else_stale(edited):
    before = contents("models")
    substitute(edited / "modeling/learning_curves.py", '"gray"', '"black"')
    assert "up to date" in stage(edited, "train", "--recipe", RECIPE)
    after = contents("models")
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert "curves.png" in changed
    assert not any(name.endswith((".keras", ".csv", ".npz")) for name in changed), changed
    assert "up to date" in stage(edited, "submit", "--recipe", RECIPE, "--upload", "0")


def test_another_resize_filter_makes_features_and_all_after_them_stale(edited):
    substitute(edited / "data/pixels.py", "Resampling.BILINEAR", "Resampling.BICUBIC")
    lines = stage(edited, "status", "--recipe", RECIPE).splitlines()
    for kind in "features", "heads", "blend":
        states = [line for line in lines if kind in line.split()[:2]]
        assert states, lines
        assert not any("up to date" in state for state in states), lines
