"""Templates of pages, their common style, and how Jinja2 fills them, imported only then."""

import base64
import hashlib
import re
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.legible import counted, legible, percent

FOLDER = Path(__file__).parent
REPORT = "report.html"
INDEX = "index/index.html"
INDEX_SCRIPT = "index/index.js"
SHARED = "style.css", "macros.html"  # that all templates include


def digests(*names: str) -> list[str]:
    """Return the sha256 of each file that a page is made from: its own, and what all share."""
    return [files.digest(FOLDER / name) for name in (*names, *SHARED)]


def allowed(*scripts: str) -> str:
    """Return scripts as a Content-Security-Policy allows them alone: by their sha256."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    return " ".join(f"'sha256-{base64.b64encode(x).decode()}'" for x in digests) or "'none'"


def _scripts(template: str) -> list[str]:
    """Return the scripts that a template has in its own text."""
    source = (FOLDER / template).read_text(encoding="utf-8")
    return re.findall(r"<script>(.*?)</script>", source, re.DOTALL)


def fill(template: str, **values: object) -> str:
    """Return a page. Strings are made legible and escaped; an undefined name is an error.

    Its scripts are those in the template's own text, unless `values` has others as own_scripts.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: legible(value) if type(value) is str else value,
    )
    environment.filters["percent"] = lambda share: f"{share:.2%}"
    environment.filters["probability"] = percent
    environment.filters["counted"] = counted
    environment.filters["commas"] = lambda number: f"{number:,}"
    values = {"own_scripts": allowed(*_scripts(template)), **values}
    return environment.get_template(template).render(values)
