"""What the table of backbones was last derived from: a key, so that tests need not derive it all.

`backbone_table.py` writes it with the table. Keras is looked at, not imported.
"""

import hashlib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dogs_vs_cats import code_keys
from dogs_vs_cats.config.backbones import TABLE

DERIVED = Path(__file__).with_name("backbone_table.sha256")


def key() -> str:
    """Return the sha256 of the table, the script that derives it, and Keras' own applications."""
    applications = Path(find_spec("keras").origin).parent / "src" / "applications"
    sha256 = hashlib.sha256(metadata.version("keras").encode())
    script = Path(__file__).with_name("backbone_table.py").read_text(encoding="utf-8")
    sha256.update(code_keys.canonical(script).encode())
    for path in [TABLE, *sorted(applications.glob("*.py"))]:
        sha256.update(path.read_bytes())
    return sha256.hexdigest()


def is_derived() -> bool:
    """Return whether the table is the one that was derived from the Keras that is installed."""
    return DERIVED.read_text(encoding="ascii").strip() == key()


def write() -> None:
    DERIVED.write_text(key() + "\n", encoding="ascii")
