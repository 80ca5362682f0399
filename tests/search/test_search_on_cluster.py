"""make search CLUSTER=: the same report as one process, whatever is lost and whoever is first."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.search import head_search, side_by_side, trials
from dogs_vs_cats.search.side_by_side import Plan, Worker
from dogs_vs_cats.search.trials import Order
from support.commands import PROJECT
from support.ray_nodes import until

OPTIONS = "--recipe", "tiny.toml", "--space", "space.toml"
COMMAND = sys.executable, str(PROJECT / "scripts" / "search.py"), *OPTIONS
REPORTS = Path("reports/source")


def written() -> dict[str, bytes]:
    """Return name -> bytes of the reports, and the journal's lines whatever their order."""
    named = {path.name: path.read_bytes() for path in REPORTS.glob("*.[mj][ds]*")}
    journal = named.pop("search-tiny.jsonl").splitlines()
    return named | {"journal": b"\n".join(sorted(filter(None, journal)))}


@pytest.mark.extra("ray")
def test_the_worker_is_killed_and_the_report_is_that_of_one_process(machine, here, made, run):
    (here / "space.toml").write_text("dropout = [0.3, 0.4]\n")
    run("search", *OPTIONS)
    expected = written()
    assert len(expected) == 3
    shutil.rmtree(REPORTS)
    process = machine.run(0, *COMMAND, "--cluster", "local")
    journal = REPORTS / "search-tiny.jsonl"
    until(lambda: journal.exists() and journal.stat().st_size, process)
    assert machine.kill(0, "ray::Worker") == 1  # it has a trial, or is about to get one
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), out + err
    assert "a worker on 127.0.0.1 was lost" in out
    assert [f"search: {number} of 3: " in out for number in (1, 2, 3)] == [True] * 3
    assert written() == expected
    assert "0 new trials" in run("search", *OPTIONS)


def test_a_worker_makes_the_same_trial_from_features_that_it_reads_itself(
    here, made, quick, monkeypatch
):
    monkeypatch.setattr(keras_backend, "start", lambda threads: None)
    recipe, engine = recipe_files.read("tiny.toml"), engines.choose("keras", "auto")
    plan, worker = Plan(made, recipe, engine, here), Worker()
    proof = worker.prove(plan, 1)
    assert proof == side_by_side.reference(plan, None)
    other = {
        view: array + 1 - np.arange(len(array))[:, None] for view, array in plan.views().items()
    }
    assert "other last digits" in proof.difference(side_by_side._proof(plan, other))
    photos = head_search._photos(made, recipe, engine)
    for order in (
        Order(recipe.head, photos),
        Order(recipe.head, photos, 2, Calibration(1.5, 0.01, 16)),
    ):
        sent = side_by_side._light(order)
        assert sent.photos.rows.views == {}
        trial, expected = worker.compute((7, sent)), trials.made(recipe, order)
        assert np.array_equal(trial.losses, expected.losses)
        assert trial.calibration == expected.calibration
