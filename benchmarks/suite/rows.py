"""The rows of the bench's table: what is computed from the measurements, and the bounds."""

from importlib.util import find_spec

from benchmarks.suite.jobs import LIGHT, STAGES
from benchmarks.suite.plan import Plan, Results
from benchmarks.suite.table import BenchRow
from dogs_vs_cats import environment

RATE = "photos_a_second"
EVERY_VIEW = "every view keras auto"
# How the seconds of the real stage were spent.
SHARES = {
    "total": "all of it",
    "decode": "decoding, of all cores",
    "compute": "network, of its threads",
    "write": "writing",
    "waited": "network idle",
    "start": "starting, once a run",
}
# A word of a measurement's name -> the optional package that it needs.
NEEDS = {"tutorial": "tensorflow", "torch": "torch", "openvino": "openvino", "int8": "nncf"}


def all_rows(results: Results, plan: Plan) -> list[BenchRow]:
    """Return all rows of a bench, those with a bound first.

    Without the TensorFlow backend there are none of OpenVINO, which is exported from it.
    """
    vino = environment.backend() == "tensorflow"
    rows = [
        _ratio(results, "real stage / model alone", "stage keras auto", "model keras auto", 0.92)
    ]
    way = f"the tutorial way{_on(results, 'tutorial')}"
    peers = [("real stage", "keras auto", 6.0)]
    if vino:
        peers += [("OpenVINO stage", "openvino auto", 7.5)]
        peers += [("OpenVINO int8 stage", "openvino int8", 13.0)]
    for name, label, bound in peers:
        name = f"{name} / {way}"
        rows.append(_ratio(results, name, f"stage {label}", "tutorial", bound, "{:.1f}"))
    rows += _light(results, plan, way)
    if vino:
        rows += _int8(results) + _int8(results, LIGHT)
    return [*rows, *_bounded(results, plan), *_plain(results, plan, way)]


def _light(results: Results, plan: Plan, way: str) -> list[BenchRow]:
    """Return the rows of the light network that have a bound.

    Beside it decoding is a third of the work, so its stage is compared with decoding and network
    together: 1 / (1 / decoding alone + 1 / network alone), each on all cores, which they share.
    """
    vino = environment.backend() == "tensorflow"
    names = "light stage keras auto", EVERY_VIEW
    light, fast = (results.median(name, "cpu_milliseconds") for name in names)
    rows = [
        BenchRow(
            f"light: CPU time a photo / that of {plan.recipe} in all its views",
            _over(light, fast),
            "{:.3f}",
            # AMX makes VGG16 seven times as fast; a light network is mostly what it doesn't help.
            1 / 3 if "amx_bf16" in environment.processor() else 1 / 8,
            True,
            _reason(results, *names),
        )
    ]
    rows.append(_against_its_parts(results, "keras auto"))
    if vino:
        rows.append(_against_its_parts(results, "openvino auto"))
        bound = 25.0 if environment.cpu_bfloat16() else 15.0
        name = f"light: OpenVINO stage / {way}"
        rows.append(_ratio(results, name, "light stage openvino auto", "tutorial", bound, "{:.1f}"))
    return rows


def _against_its_parts(results: Results, label: str) -> BenchRow:
    """Return the row of the light stage's rate over that of decoding and network together."""
    stage, parts = f"light stage {label}", ("decode", f"light model {label}")
    rates = [results.median(name, RATE) for name in parts]
    both = None if None in rates else 1 / sum(1 / rate for rate in rates if rate)
    return BenchRow(
        f"light: {label.split()[0]} stage / decoding and network alone, together",
        _over(results.median(stage, RATE), both),
        "{:.2f}",
        0.85,
        reason=_reason(results, stage, *parts),
        lacks=_lacks(stage),
    )


def _bounded(results: Results, plan: Plan) -> list[BenchRow]:
    """Return the rows of memory, heads, and idle stages, each with an upper bound."""

    def at_most(name: str, measurement: str, key: str, form: str, bound: float) -> BenchRow:
        return _row(results, name, measurement, key, form, bound, True)

    few, many = (results.median(f"memory {name}", "peak_bytes") for name in ("few", "many"))
    steps = results.median("head", "steps")
    head = f"one head of {plan.recipe} on {plan.rows:,} rows"
    head += "" if steps is None else f", {steps:,.0f} steps"
    make = results.median("idle", "make")
    stages = (", " if make == 0 else " ").join(STAGES)
    epoch = f"an epoch of {plan.streamed} on {plan.rows:,} rows from the disk"
    return [
        BenchRow(
            f"peak memory at {plan.memory[1]:,} photos / at {plan.memory[0]:,}",
            _over(many, few),
            "{:.2f}",
            1.1,
            True,
            _reason(results, "memory few", "memory many"),
        ),
        at_most(f"{head}, the first of a process, s", "head", "seconds", "{:.1f}", 10.0),
        at_most(f"{head}, the second, s", "head", "second", "{:.1f}", 10.0),
        at_most(f"{epoch}, without validation, s", "streamed", "training", "{:.1f}", 6.0),
        at_most(
            f"{'' if make == 0 else 'make '}{stages} with nothing to do, "
            f"{plan.memory[1]:,} photos, s",
            "idle",
            "all",
            "{:.2f}",
            1.5,
        ),
    ]


def _int8(results: Results, kind: str = "") -> list[BenchRow]:
    """Return how much worse out-of-fold metrics are on int8 features than on Keras features.

    kind: what the names of the network's measurements begin with.
    """
    labels = f"{kind}out of fold keras auto", f"{kind}out of fold openvino int8"
    rows = []
    for name, metric, scale, form, bound in (
        ("loss of out-of-fold accuracy, points", "accuracy", -100, "{:.2f}", 0.3),
        ("rise of out-of-fold log loss", "log_loss", 1, "{:.4f}", 0.004),
    ):
        keras, int8 = (results.median(label, metric) for label in labels)
        value = None if keras is None or int8 is None else scale * (int8 - keras)
        reason = _reason(results, *labels)
        name = f"{kind}int8: {name}"
        rows.append(BenchRow(name, value, form, bound, True, reason, _lacks(*labels)))
    return rows


def _plain(results: Results, plan: Plan, way: str) -> list[BenchRow]:
    """Return the rows without a bound."""

    def row(name: str, measurement: str, key: str, form: str = "{:.1f}") -> BenchRow:
        return _row(results, name, measurement, key, form)

    rows = [
        row("decode and resize a photo, ms of a core", "decode", "milliseconds"),
        row("decode and resize on all cores, photos/s", "decode", RATE),
    ]
    for kind in "", LIGHT:
        for label in ("keras auto", "openvino auto", "openvino int8"):
            if results.tried(f"{kind}model {label}"):
                rows += _engine(results, kind, label)
    rows.append(
        row(f"{plan.recipe} in all its views, CPU ms a photo", EVERY_VIEW, "cpu_milliseconds")
    )
    torch = f"PyTorch, bfloat16 autocast{_on(results, 'torch')}, model alone"
    held_out = f"an epoch of {plan.streamed}: validation on {plan.rows // 4:,} rows, s"
    rows += [
        row(f"{way}, float32, photos/s", "tutorial", RATE),
        row(f"{way}: photos", "tutorial", "photos", "{:,.0f}"),
        row(f"{torch}, photos/s", "torch", RATE),
        row(held_out, "streamed", "validation"),
    ]
    for name in "few", "many":
        peak = results.median(f"memory {name}", "peak_bytes")
        reason = _reason(results, f"memory {name}")
        value = peak and peak / 2**20
        rows.append(BenchRow(f"peak memory, {name} photos, MiB", value, "{:.0f}", reason=reason))
    for stage in STAGES:
        rows.append(row(f"{stage} with nothing to do, s", "idle", stage, "{:.2f}"))
    return rows


def _engine(results: Results, kind: str, label: str) -> list[BenchRow]:
    """Return the rates of an engine, and how the seconds of its stage were spent."""
    model, stage = f"{kind}model {label}", f"{kind}stage {label}"
    name = f"{kind}{label}"
    if model in results.measurements:
        name = f"{kind}{label.split()[0]} {results.measurements[model][0]['precision']}"
    return [
        _row(results, f"{name}: model alone, photos/s", model, RATE, "{:.1f}"),
        _row(results, f"{name}: real stage, photos/s", stage, RATE, "{:.1f}"),
        _row(results, f"{name}: CPU ms a photo", stage, "cpu_milliseconds", "{:.1f}"),
        _row(results, f"{name}: photos", stage, "photos", "{:,.0f}"),
        *(
            _row(results, f"{name}: {what}, s", stage, key, "{:.1f}")
            for key, what in SHARES.items()
        ),
    ]


def _row(
    results: Results,
    name: str,
    measurement: str,
    key: str,
    form: str,
    bound: float | None = None,
    at_most: bool = False,
) -> BenchRow:
    value = results.median(measurement, key)
    reason = _reason(results, measurement)
    return BenchRow(name, value, form, bound, at_most, reason, _lacks(measurement))


def _ratio(
    results: Results, name: str, rate: str, base: str, bound: float, form: str = "{:.2f}"
) -> BenchRow:
    """Return the row of one rate divided by another."""
    value = _over(results.median(rate, RATE), results.median(base, RATE))
    reason = _reason(results, rate, base)
    return BenchRow(name, value, form, bound, reason=reason, lacks=_lacks(rate, base))


def _over(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value / base


def _reason(results: Results, *names: str) -> str:
    """Return why measurements failed, "" if none did."""
    return " ".join(results.failed[name] for name in names if name in results.failed)


def _lacks(*names: str) -> str:
    """Return the first package that the measurements need and that is not installed, or ""."""
    needed = [NEEDS[word] for name in names for word in name.split() if word in NEEDS]
    return next((package for package in needed if find_spec(package) is None), "")


def _on(results: Results, peer: str) -> str:
    """Return the device of a peer, to append to its name; "" if everything ran on the processor."""
    names = "model keras auto", "tutorial", "torch"
    used = {
        name: measurement["device"]
        for name in names
        for measurement in results.measurements.get(name, [])
    }
    if peer not in used or set(used.values()) == {"cpu"}:
        return ""
    return " on the processor" if used[peer] == "cpu" else f" on {used[peer]}"
