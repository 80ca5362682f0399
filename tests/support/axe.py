"""axe-core on a page in the browser: what keeps readers from it."""

from importlib import resources
from typing import Any

SCRIPT = resources.files("axe_playwright_python").joinpath("axe.min.js")


def violations(page: Any) -> list[str]:
    """Return what axe-core finds on a Playwright page, as it is drawn now: `rule: element: why`.

    All its rules, those of good practice too. [] if it finds nothing.
    """
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
