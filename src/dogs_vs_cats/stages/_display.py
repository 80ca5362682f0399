"""How results look in a notebook: a card with facts, tables and pictures."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
HEIGHT = 800  # of a page that is shown inside the notebook, in pixels


def card(title: str, facts: Mapping[str, object], *more: str) -> str:
    """Return HTML: a heading, a line for each fact that has a text, and `more` HTML below."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(str(fact))}</td></tr>"
        for name, fact in facts.items()
        if fact not in (None, "")
    )
    return f"<div><b>{escape(title)}</b><table>{rows}</table>{''.join(more)}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table of texts."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def lines(texts: Iterable[str]) -> str:
    """Return lines of text in columns, as a terminal shows them."""
    return f"<pre style='font-family:monospace'>{escape(chr(10).join(texts))}</pre>"


def picture(path: Path, alt: str) -> str:
    """Return a picture with its bytes in it; "" if the file is not there."""
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    kind = TYPES[path.suffix]
    return f"<img alt='{escape(alt)}' style='max-width:100%' src='data:{kind};base64,{data}'>"


def page(path: Path) -> str:
    """Return a self-contained HTML page as a frame; "" if the file is not there."""
    if not path.exists():
        return ""
    text = escape(path.read_text(encoding="utf-8"))
    style = f"width:100%;height:{HEIGHT}px;border:1px solid #ccc"
    return f'<iframe style="{style}" srcdoc="{text}"></iframe>'
