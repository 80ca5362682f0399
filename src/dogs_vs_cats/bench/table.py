"""The bench's table: figures, what they should be at least or at most, and whether they are."""

from dataclasses import dataclass

from dogs_vs_cats.bench import STAGES, Plan, Results

# Where the seconds of the real stage went.
SHARES = {
    "total": "all of it",
    "decode": "decoding, of all cores",
    "compute": "network, of its threads",
    "write": "writing",
    "waited": "network idle",
    "start": "starting, once a run",
}


@dataclass(frozen=True)
class Figure:
    """A line of the table; `bound` is what it should be at least (or `at_most`), if anything."""

    name: str
    value: float | None
    form: str
    bound: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Return whether the bound is met; None where there is none, or nothing was measured."""
        if self.bound is None or self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def row(self) -> list[str]:
        value = "not measured" if self.value is None else self.form.format(self.value)
        side = "at most" if self.at_most else "at least"
        bound = "" if self.bound is None else f"{side} {self.form.format(self.bound)}"
        return [self.name, value, bound, {True: "yes", False: "no", None: ""}[self.met]]


def figures(results: Results, plan: Plan) -> list[Figure]:
    """Return all figures of a bench, those with a bound first."""
    stage = _rate(results, "stage keras auto")
    model = _rate(results, "model keras auto")
    tutorial = _rate(results, "tutorial")
    vino = _rate(results, "stage openvino auto")
    int8 = _rate(results, "stage openvino int8")
    few, many = (results.median(f"memory {name}", "peak_bytes") for name in ("few", "many"))
    steps = results.median("head", "steps")
    found = [
        Figure("real stage / model alone", _over(stage, model), "{:.2f}", 0.92),
        Figure("real stage / the tutorial way", _over(stage, tutorial), "{:.1f}", 6.0),
        Figure("OpenVINO stage / the tutorial way", _over(vino, tutorial), "{:.1f}", 7.5),
        Figure("OpenVINO int8 stage / the tutorial way", _over(int8, tutorial), "{:.1f}", 13.0),
        Figure(
            "int8: loss of out-of-fold accuracy, points",
            _int8_differs(results, "accuracy", -100),
            "{:.2f}",
            0.3,
            True,
        ),
        Figure(
            "int8: rise of out-of-fold log loss",
            _int8_differs(results, "log_loss", 1),
            "{:.4f}",
            0.004,
            True,
        ),
        Figure(
            f"peak memory at {plan.memory[1]:,} photos / at {plan.memory[0]:,}",
            _over(many, few),
            "{:.2f}",
            1.1,
            True,
        ),
        Figure(
            f"one head of {plan.recipe} on {plan.rows:,} rows, {steps:,.0f} steps, s",
            results.median("head", "seconds"),
            "{:.1f}",
            10.0,
            True,
        ),
        Figure(
            f"an epoch of {plan.streamed} on {plan.rows:,} rows from the disk, s",
            results.median("streamed", "epoch"),
            "{:.1f}",
            6.0,
            True,
        ),
        Figure(
            "data, features, train, submit with nothing to do, s",
            results.median("idle", "all"),
            "{:.2f}",
            1.5,
            True,
        ),
    ]
    return found + _plain(results)


def _plain(results: Results) -> list[Figure]:
    """Return the figures that have no bound."""

    def figure(name: str, measurement: str, key: str, form: str = "{:.1f}") -> Figure:
        return Figure(name, results.median(measurement, key), form)

    rate = "photos_a_second"
    found = [figure("decode and resize a photo, ms of a core", "decode", "milliseconds")]
    for label in ("keras auto", "openvino auto", "openvino int8"):
        if f"model {label}" not in results.found:
            continue
        name = f"{label.split()[0]} {results.found[f'model {label}'][0]['precision']}"
        found.append(figure(f"{name}: model alone, photos/s", f"model {label}", rate))
        found.append(figure(f"{name}: real stage, photos/s", f"stage {label}", rate))
        for key, what in SHARES.items():
            found.append(figure(f"{name}: {what}, s", f"stage {label}", key))
    found.append(figure("the tutorial way, float32, photos/s", "tutorial", rate))
    found.append(figure("PyTorch, bfloat16 autocast, model alone, photos/s", "torch", rate))
    for name in "few", "many":
        peak = results.median(f"memory {name}", "peak_bytes")
        found.append(Figure(f"peak memory, {name} photos, MiB", peak and peak / 2**20, "{:.0f}"))
    for stage in STAGES:
        found.append(figure(f"{stage} with nothing to do, s", "idle", stage, "{:.2f}"))
    return found


def _rate(results: Results, name: str) -> float | None:
    return results.median(name, "photos_a_second")


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def _int8_differs(results: Results, metric: str, scale: float) -> float | None:
    """Return by how much an out-of-fold metric is higher on int8 features than on Keras's."""
    one, other = (
        results.median(f"out of fold {label}", metric) for label in ("keras auto", "openvino int8")
    )
    return None if one is None or other is None else scale * (other - one)


def markdown(found: list[Figure], about: dict) -> str:
    """Return the table as Markdown, with the machine and the packages above it."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    lines = [
        f"# {about['processor']}",
        "",
        f"{about['machine']}; {packages}; photos of {about['photos']}; {about['date']}.",
        "",
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
