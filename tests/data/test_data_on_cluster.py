"""make data CLUSTER=: the same table as one process, and a journal that either goes on with."""

import shutil
import sys
import time
from pathlib import Path

import pytest

from dogs_vs_cats.cluster.proof import Proof
from dogs_vs_cats.data import inspection, side_by_side
from dogs_vs_cats.data.side_by_side import Plan, Worker
from support.commands import PROJECT
from support.pictures import kaggle_folder, write
from support.ray_nodes import until

OPTIONS = "--source", "source"
COMMAND = sys.executable, str(PROJECT / "scripts" / "data.py"), *OPTIONS
INSPECTIONS = Path("data/source/inspections.jsonl")


def written() -> dict[str, bytes]:
    """Return name -> bytes of the dataset, and the journal's lines whatever their order."""
    made = {path.name: path.read_bytes() for path in Path("data/source").glob("*.csv")}
    return made | {"journal": b"\n".join(sorted(INSPECTIONS.read_bytes().splitlines()))}


@pytest.mark.extra("ray")
def test_the_table_is_that_of_one_process_and_no_photo_is_decoded_again(
    machine, here, run, monkeypatch
):
    source = kaggle_folder(here / "source", each=60, tests=20)
    (source / "train" / "cat.7.jpg").write_bytes(b"no photo")
    run("data", *OPTIONS)
    expected = written()
    assert len(expected) > 2
    shutil.rmtree("data")
    process = machine.run(0, *COMMAND, "--cluster", "local", "--threads", "1")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), out + err
    assert "data: a worker on 127.0.0.1 is ready" in out
    assert written() == expected
    Path("data/source/stamp.json").unlink()
    monkeypatch.setattr(inspection, "inspect", None)
    run("data", *OPTIONS)


@pytest.mark.extra("ray")
def test_a_driver_that_is_killed_leaves_no_worker_and_no_cluster_running(machine, here):
    def running() -> set[int]:
        # Two agents of Ray's, which compute nothing, outlive the driver by a minute.
        agents = machine.processes(0, "ray::DashboardA") + machine.processes(0, "ray::RuntimeE")
        return {*machine.processes(0)} - {*agents}

    kaggle_folder(here / "source")
    process = machine.run(0, *COMMAND, "--cluster", "local", TMPDIR=str(machine.folder))
    until(lambda: machine.processes(0, "ray::Worker"), process)
    process.kill()
    end = time.monotonic() + 60
    while running():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_worker_inspects_in_the_order_of_the_task_and_returns_what_the_disk_refuses(here):
    paths = [str(write(here / f"{number}.jpg", number)) for number in range(70)]
    Path(paths[3]).write_bytes(b"no photo")
    plan, worker = Plan(side_by_side._sample(), here), Worker()
    proof = worker.prove(plan, 2)
    assert isinstance(proof, Proof)
    assert proof == side_by_side.reference(plan, None)
    rows = list(range(69, -1, -1))
    tasks = list(side_by_side._tasks(paths, rows, lambda path: f"key of {path}"))
    assert [row for task in tasks for row in task.rows] == rows
    for task in tasks:
        found = [inspection.inspect(Path(paths[row])) for row in task.rows]
        assert worker.compute(task) == found
        assert task.keys == [f"key of {paths[row]}" for row in task.rows]
    Path(paths[69]).unlink()
    refused = worker.compute(tasks[0])
    assert isinstance(refused, FileNotFoundError)
    assert refused.filename == paths[69]
