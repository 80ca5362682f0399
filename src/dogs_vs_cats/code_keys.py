"""Keys of code: hashes that change when code changes that can decide an artifact's bytes.

Docstrings, comments, formatting, imports, annotations, error texts and progress lines can't, so
editing them leaves every artifact fresh. Standard library alone. The same on Python 3.11 to 3.13:
`ast.dump`, `ast.unparse` and tokens are not, since they show fields that a version has added.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
# Fields of syntax nodes that decide nothing, or that other versions of Python don't have.
LEFT_OUT = {"annotation", "ctx", "kind", "returns", "type_comment", "type_params"}
SPEAKING = {"say", "bar"}  # of `progress`


def code_key(*modules: str) -> str:
    """Return the sha256 over the code of modules of this package, named as `data.pixels`."""
    return hashlib.sha256("".join(map(_module_key, sorted(modules))).encode()).hexdigest()


@functools.cache
def _module_key(module: str) -> str:
    source = _path(module).read_text(encoding="utf-8")
    return hashlib.sha256(canonical(source).encode()).hexdigest()


def _path(module: str) -> Path:
    """Return a module's file. Nothing is imported: packages on the way may import NumPy."""
    *packages, name = module.split(".")
    package = sys.modules.get(".".join(["dogs_vs_cats", *packages]))
    folders = package.__path__ if package else [str(PACKAGE.joinpath(*packages))]
    paths = [
        Path(folder, file) for folder in folders for file in (f"{name}.py", f"{name}/__init__.py")
    ]
    return next(path for path in paths if path.exists())


def canonical(source: str) -> str:
    """Return a text of all in Python source that can change what it computes."""
    return "".join(_texts(ast.parse(source), spoken=False))


def _texts(node: object, spoken: bool) -> Iterator[str]:
    """Yield the canonical text of a syntax node in parts; `spoken`: its strings are for people."""
    if isinstance(node, list):
        yield "["
        for item in node:
            if not _silent(item):
                yield from _texts(item, spoken)
        yield "]"
    elif not isinstance(node, ast.AST):
        yield repr(node)
    elif isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        if not spoken:
            yield from _string(node)
    else:
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if name in LEFT_OUT or value is None or value == []:
                continue
            yield f" {name}="
            for_people = isinstance(node, ast.Raise) or (
                isinstance(node, ast.Assert) and name == "msg"
            )
            yield from _texts(value, spoken or for_people)
        yield ")"


def _string(node: ast.JoinedStr | ast.Constant) -> Iterator[str]:
    """Yield a string's text; versions of Python split f-strings differently."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = ""
    for part in parts:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        else:
            yield repr(text)
            text = ""
            yield from _texts(part, spoken=False)
    yield repr(text)


def _silent(node: object) -> bool:
    """Return whether a statement computes nothing: an import, a docstring, a line of progress."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(node, ast.If):  # if TYPE_CHECKING: imports
        return all(map(_silent, node.body)) and not node.orelse
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.Constant):
        return True
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and isinstance(value.func.value, ast.Name)
        and value.func.value.id == "progress"
        and value.func.attr in SPEAKING
    )
