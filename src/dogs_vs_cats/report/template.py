"""The template of the page, and how Jinja2 fills it, which is imported only then."""

from pathlib import Path

from dogs_vs_cats.legible import counted, legible, percent

TEMPLATE = Path(__file__).with_name("report.html")


def fill(**values: object) -> str:
    """Return the page. Strings are made legible and escaped; an undefined name is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
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
    return environment.get_template(TEMPLATE.name).render(**values)
