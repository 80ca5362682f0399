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
# Modules that were rewritten or moved and give the same bytes as before, so that nothing is stale:
# sha256 of the code -> that of the code it replaced. An edited module is no longer in it and has
# a key of its own; tests/test_code_keys.py finds entries that are left over.
SAME_BYTES: dict[str, str] = {
    # search.trials
    "0cb4d86ef380fab4cb73a5434b87abf0b58152e477bc9b0176db265662e0b925": (
        "ac312654c9ce15b505d4bbda0f0dba955b3d1736db8074939e479aa2df0031a8"
    ),
    # features.storage_type
    "415be2d4ba1e0e8b5a1a2fdc2a698354424f8ceb343398161ca5e339bce647c8": (
        "d5db57a991afa251959ea1eae7a6665705b1a2f3d9e7ed43895d2981e17a1108"
    ),
    # data.inspection
    "8d467c600d5242126bb4e1e2a9060bc45308211977d752749ce020b13140af08": (
        "4e2e03d1f5f3e8694aedcbc10d0b8354dd08c4bfe1b647c3693959acbdb2f26d"
    ),
    # data.photos
    "075991febcde68cb3fbc1a214aa637bb63ab614dd497dbe6484ce608b4b41fd8": (
        "9423f53fb2240101f6ca81b5e0c4ba099974955440d977b8515892174294fa96"
    ),
    # data.verdicts
    "de531160d00bb66816182abf9ba15644fab75e0470a269b467cb1453b03f2d30": (
        "415fcb950ff4e063b642a714ec754163ae572c35f8e16cc736b6d0a9ab8e4624"
    ),
    # features.quantisation_samples
    "487f05cee725d7017fa06e1e49c0bdfe83554b99ca60b1fffaceee60d113262d": (
        "77e7f0d7dab8c11f06b1c7c21cc486a97639311832632de4880b9534872a5a42"
    ),
    # features.cache
    "8df4de6c8ee95728ba68f4844063d59e3a2149c371e95b29e835f65ff13d74fd": (
        "518c26a1bbf53402c5552e0cd119609213c7412d2db574e72913ec9c55f93dda"
    ),
    # inference.predictor
    "5e160dad23575cf70a84107b586d132f3f7b702fdfd6c1728bd83eb6adeebfcf": (
        "1cb0b78a58101de8278c8277656c70b4c44c465109201c2099cfd87d33b54f72"
    ),
    # modeling.fine_tuning
    "ade52a1e6151126fc57b6123774ca110822b55d564b575bcd2ae541caefc666d": (
        "a940c7610848f92de054159ef65615dabf442a250f3bb5f1f3fc3baad270c04a"
    ),
    # modeling.training
    "24965f6df70346e0235038d366a74685c4ab4a5809ae027fec343ac804a4fe77": (
        "4eb46ab3225de329cfa150e1de83113917c23ba9f3b6ef4f8a9e22c86156273e"
    ),
    # submission.check
    "9b15318fe6f0b9e8acd169bed69cf337f899e842795f927e80bcc34ac4587f8c": (
        "6ce3c28b89b408a1c731e90c53df1aae45d52a05d54b215e0c05d8ec4d565c25"
    ),
    # kaggle.competitions
    "feb2846c720e2ebfd30121521e8769c657e2d6bdc522d17964671d799f8c84fd": (
        "42ff49087136d16c2bdf0b1a3067b90be8afa5a2e50f1c35de59785a3a0b231a"
    ),
    # export.parity
    "f7620a3e19275bbb2e02339b0f27ec2ca9578aa713cb97a6f7eba76a9b5d7f23": (
        "79a7480eadbe7e18cc8d8adc820fb2a6dd5b97b451120470644d0e56a4482351"
    ),
    # modeling.blend
    "1e79b6f6e15b8ecdf42be5f13f786680acea2254f493fc04d48b741092f500f0": (
        "990a2ca6afabc1ceb1e64de7a6ba5b91328e7d89e5c483f455885b711c5f0ad9"
    ),
    # data.remote_listing
    "0c02343da53517c3b17781fe6f14d532b7e175b838e19644e0954ea530aec268": (
        "06c7e9f6626da82b735a56944860fad6fb310f49276a82b692b9bc7145baa49f"
    ),
}


def code_key(*modules: str) -> str:
    """Return the sha256 over the code of modules of this package, named as `data.pixels`."""
    return hashlib.sha256("".join(map(_module_key, sorted(modules))).encode()).hexdigest()


@functools.cache
def _module_key(module: str) -> str:
    source = _path(module).read_text(encoding="utf-8")
    digest = hashlib.sha256(canonical(source).encode()).hexdigest()
    return SAME_BYTES.get(digest, digest)


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
