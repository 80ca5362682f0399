"""The bench's table: figures, what they should be at least or at most, and whether they are."""

import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.suite.jobs import STAGES
from benchmarks.suite.plan import Plan, Results
from dogs_vs_cats import environment, files

RATE = "photos_a_second"
# Where the seconds of the real stage went.
SHARES = {
    "total": "all of it",
    "decode": "decoding, of all cores",
    "compute": "network, of its threads",
    "write": "writing",
    "waited": "network idle",
    "start": "starting, once a run",
}
# What a measurement takes that may not be there: a word of its name -> a package.
TAKES = {"tutorial": "tensorflow", "torch": "torch", "openvino": "openvino", "int8": "nncf"}


@dataclass(frozen=True)
class Figure:
    """A line of the table; `bound` is what it should be at least (or `at_most`), if anything.

    reason: why what it is made of could not be measured, at least once; "" where it always was.
    lacks: the package that measuring it takes and that is not installed; "" where all are.
    """

    name: str
    value: float | None
    form: str
    bound: float | None = None
    at_most: bool = False
    reason: str = ""
    lacks: str = ""

    @property
    def met(self) -> bool | None:
        """Return whether the bound is met; None where there is none, or nothing was measured."""
        if self.bound is None or self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def row(self) -> list[str]:
        why = f": {self.lacks} is not installed" if self.lacks else ""
        value = f"not measured{why}" if self.value is None else self.form.format(self.value)
        side = "at most" if self.at_most else "at least"
        bound = "" if self.bound is None else f"{side} {self.form.format(self.bound)}"
        return [self.name, value, bound, {True: "yes", False: "no", None: ""}[self.met]]


def figures(results: Results, plan: Plan) -> list[Figure]:
    """Return all figures of a bench, those with a bound first.

    OpenVINO has none where the backend isn't TensorFlow, from which alone it is exported.
    """
    vino = environment.backend() == "tensorflow"
    found = [
        _ratio(results, "real stage / model alone", "stage keras auto", "model keras auto", 0.92)
    ]
    way = f"the tutorial way{_on(results, 'tutorial')}"
    peers = [("real stage", "keras auto", 6.0)]
    if vino:
        peers += [("OpenVINO stage", "openvino auto", 7.5)]
        peers += [("OpenVINO int8 stage", "openvino int8", 13.0)]
    for name, label, bound in peers:
        name = f"{name} / {way}"
        found.append(_ratio(results, name, f"stage {label}", "tutorial", bound, "{:.1f}"))
    if vino:
        found += _int8(results)
    return [*found, *_bounded(results, plan), *_plain(results, plan, way)]


def _bounded(results: Results, plan: Plan) -> list[Figure]:
    """Return the figures of memory, heads, and stages with nothing to do; all at most so much."""

    def most(name: str, measurement: str, key: str, form: str, bound: float) -> Figure:
        return _figure(results, name, measurement, key, form, bound, True)

    few, many = (results.median(f"memory {name}", "peak_bytes") for name in ("few", "many"))
    steps = results.median("head", "steps")
    head = f"one head of {plan.recipe} on {plan.rows:,} rows"
    head += "" if steps is None else f", {steps:,.0f} steps"
    make = results.median("idle", "make")
    stages = (", " if make == 0 else " ").join(STAGES)
    epoch = f"an epoch of {plan.streamed} on {plan.rows:,} rows from the disk"
    return [
        Figure(
            f"peak memory at {plan.memory[1]:,} photos / at {plan.memory[0]:,}",
            _over(many, few),
            "{:.2f}",
            1.1,
            True,
            _why(results, "memory few", "memory many"),
        ),
        most(f"{head}, the first of a process, s", "head", "seconds", "{:.1f}", 10.0),
        most(f"{head}, the second, s", "head", "second", "{:.1f}", 10.0),
        most(f"{epoch}, without validation, s", "streamed", "training", "{:.1f}", 6.0),
        most(
            f"{'' if make == 0 else 'make '}{stages} with nothing to do, "
            f"{plan.memory[1]:,} photos, s",
            "idle",
            "all",
            "{:.2f}",
            1.5,
        ),
    ]


def _int8(results: Results) -> list[Figure]:
    """Return by how much out-of-fold metrics are worse on int8 features than on Keras's."""
    labels = "out of fold keras auto", "out of fold openvino int8"
    found = []
    for name, metric, scale, form, bound in (
        ("loss of out-of-fold accuracy, points", "accuracy", -100, "{:.2f}", 0.3),
        ("rise of out-of-fold log loss", "log_loss", 1, "{:.4f}", 0.004),
    ):
        one, other = (results.median(label, metric) for label in labels)
        value = None if one is None or other is None else scale * (other - one)
        why = _why(results, *labels)
        found.append(Figure(f"int8: {name}", value, form, bound, True, why, _lacks(*labels)))
    return found


def _plain(results: Results, plan: Plan, way: str) -> list[Figure]:
    """Return the figures that have no bound."""

    def figure(name: str, measurement: str, key: str, form: str = "{:.1f}") -> Figure:
        return _figure(results, name, measurement, key, form)

    found = [figure("decode and resize a photo, ms of a core", "decode", "milliseconds")]
    for label in ("keras auto", "openvino auto", "openvino int8"):
        if results.tried(f"model {label}"):
            found += _engine(results, label)
    torch = f"PyTorch, bfloat16 autocast{_on(results, 'torch')}, model alone"
    held_out = f"an epoch of {plan.streamed}: validation on {plan.rows // 4:,} rows, s"
    found += [
        figure(f"{way}, float32, photos/s", "tutorial", RATE),
        figure(f"{way}: photos", "tutorial", "photos", "{:,.0f}"),
        figure(f"{torch}, photos/s", "torch", RATE),
        figure(held_out, "streamed", "validation"),
    ]
    for name in "few", "many":
        peak = results.median(f"memory {name}", "peak_bytes")
        why = _why(results, f"memory {name}")
        value = peak and peak / 2**20
        found.append(Figure(f"peak memory, {name} photos, MiB", value, "{:.0f}", reason=why))
    for stage in STAGES:
        found.append(figure(f"{stage} with nothing to do, s", "idle", stage, "{:.2f}"))
    return found


def _engine(results: Results, label: str) -> list[Figure]:
    """Return the rates of an engine, and where the seconds of its stage went."""
    model, stage = f"model {label}", f"stage {label}"
    name = label
    if model in results.found:
        name = f"{label.split()[0]} {results.found[model][0]['precision']}"
    return [
        _figure(results, f"{name}: model alone, photos/s", model, RATE, "{:.1f}"),
        _figure(results, f"{name}: real stage, photos/s", stage, RATE, "{:.1f}"),
        _figure(results, f"{name}: photos", stage, "photos", "{:,.0f}"),
        *(
            _figure(results, f"{name}: {what}, s", stage, key, "{:.1f}")
            for key, what in SHARES.items()
        ),
    ]


def _figure(
    results: Results,
    name: str,
    measurement: str,
    key: str,
    form: str,
    bound: float | None = None,
    at_most: bool = False,
) -> Figure:
    value = results.median(measurement, key)
    why = _why(results, measurement)
    return Figure(name, value, form, bound, at_most, why, _lacks(measurement))


def _ratio(
    results: Results, name: str, one: str, other: str, bound: float, form: str = "{:.2f}"
) -> Figure:
    """Return the figure that is one rate over another."""
    value = _over(results.median(one, RATE), results.median(other, RATE))
    why = _why(results, one, other)
    return Figure(name, value, form, bound, reason=why, lacks=_lacks(one, other))


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def _why(results: Results, *names: str) -> str:
    """Return why measurements failed, "" where none did."""
    return " ".join(results.failed[name] for name in names if name in results.failed)


def _lacks(*names: str) -> str:
    """Return the first package that measurements take and that is not installed, or ""."""
    taken = [TAKES[word] for name in names for word in name.split() if word in TAKES]
    return next((package for package in taken if find_spec(package) is None), "")


def _on(results: Results, peer: str) -> str:
    """Return what a peer ran on, ready to follow its name; "" where there is no GPU anyway."""
    names = "model keras auto", "tutorial", "torch"
    used = {name: one["device"] for name in names for one in results.found.get(name, [])}
    if peer not in used or set(used.values()) == {"cpu"}:
        return ""
    return " on the processor" if used[peer] == "cpu" else f" on {used[peer]}"


def write(path: Path, results: Results, plan: Plan, about: dict) -> list[Figure]:
    """Write the table to `path` and all that was measured beside it, as JSON; return the table."""
    found = figures(results, plan)
    measured = {
        "about": about,
        "left": results.left,
        "figures": [asdict(figure) for figure in found],
        "failed": results.failed,
        "measurements": results.found,
    }
    files.write_text(path.with_suffix(".json"), json.dumps(measured, indent=1) + "\n")
    files.write_text(path, markdown(found, about, results.left))
    return found


def markdown(found: list[Figure], about: dict, left: int = 0) -> str:
    """Return the table as Markdown, with the machine and the packages above it.

    left: how many measurements are to come.
    """
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    lines = [
        f"# {about['processor']}",
        "",
        f"{about['machine']}; {packages}; photos of {about['photos']}; {about['date']}.",
        "",
        *([f"Unfinished: {left} measurements were to come.", ""] if left else []),
        "| figure | measured | should be | is it |",
        "| --- | --- | --- | --- |",
        *("| " + " | ".join(figure.row()) + " |" for figure in found),
    ]
    return "\n".join(lines) + "\n"


def text(found: list[Figure]) -> str:
    """Return the table in aligned columns, for a terminal."""
    rows = [["figure", "measured", "should be", "is it"], *(figure.row() for figure in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
