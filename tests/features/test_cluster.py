"""make features CLUSTER=: the same bytes as one process, whatever is lost on the way."""

import hashlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats import stopping
from dogs_vs_cats.cluster.proof import Proof
from dogs_vs_cats.features import pipeline
from dogs_vs_cats.features.cluster import driver
from dogs_vs_cats.features.cluster.worker import Plan, Worker
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.pipeline import Job
from dogs_vs_cats.features.timings import Times
from support.commands import PROJECT, TINY, run_all
from support.kill_and_resume import chunks
from support.pictures import kaggle_folder, write
from support.prepared import copy_of, prepared
from support.ray_nodes import TOKEN, Nodes, until

OPTIONS = ["--recipe", "tiny.toml", "--precision", "float32"]
COMMAND = [sys.executable, str(PROJECT / "scripts" / "features.py"), *OPTIONS]
needs_ray = pytest.mark.extra("ray")


def made_alone(folder: Path) -> None:
    """Make the features of 500 photos, eight shards, in one process."""
    (folder / "tiny.toml").write_text(TINY)
    kaggle_folder(folder / "source", each=200, tests=100)
    run_all(folder, ("data", "--source", "source"), ("features", *OPTIONS))


@pytest.fixture
def alone(here) -> dict[str, str]:
    """Work in a folder with photos and no features; return the digests that they should have."""
    copy_of(prepared("cluster", made_alone), here)
    expected = digests(here)
    shutil.rmtree("cache")
    return expected


def digests(folder: Path) -> dict[str, str]:
    """Return store and file -> sha256, of all finished stores."""
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("features.npy", "rows.csv")
        for path in folder.glob(f"cache/*/*/*[!l]/{name}")
    }


@pytest.fixture(scope="module")
def two(make_nodes) -> Nodes:
    nodes = make_nodes()
    nodes.start()
    nodes.start()
    return nodes


@needs_ray
def test_a_worker_and_then_a_node_are_killed_and_the_bytes_are_those_of_one_process(
    two, alone, here, run
):
    process = two.run(0, *COMMAND, "--cluster", two.address, **two.variables)
    until(lambda: chunks(here), process)
    assert two.kill(0, "ray::Worker") == 1
    lost = time.monotonic()
    until(lambda: time.monotonic() > lost + 1, process)
    assert two.kill(1) > 3
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), out + err
    for node in 0, 1:
        assert f"a worker on {two.ip(node)} was lost" in out, out
    assert digests(here) == alone
    # The key is the one of a single process, which doesn't so much as import Ray.
    assert "up to date" in run("features", *OPTIONS)
    assert "ray" not in sys.modules


@needs_ray
def test_a_photo_that_has_changed_ends_the_run_with_the_line_of_one_process(
    two, alone, here, refuse
):
    path = here / "source" / "train" / "cat.0.jpg"  # of the first shard
    write(path, 1)
    variables = {**two.variables, "RAY_ADDRESS": two.address}
    process = two.run(0, *COMMAND, "--cluster", "auto", **variables)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (1, refuse("features", *OPTIONS))
    assert str(path.relative_to(here)) in err


@needs_ray
def test_on_one_machine_nothing_listens_beyond_it_and_what_was_done_outlives_ctrl_c(
    machine, alone, here, run
):
    """That no process outlives a driver that is killed: data/test_data_on_cluster.py."""
    variables = {"TMPDIR": str(machine.folder)}
    process = machine.run(0, *COMMAND, "--cluster", "local", **variables)
    until(lambda: chunks(here), process)
    listeners = machine.listeners(0)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert err == f"stopping{stopping.MORE}\nerror: {stopping.STOPPED}\n"
    assert len(listeners) > 4
    assert {address.removeprefix("[::ffff:").rstrip("]") for address in listeners} == {"127.0.0.1"}
    assert not machine.processes(0)
    before = chunks(here)
    assert f"features: {1000 - 64 * before:,} views in" in run("features", *OPTIONS)
    assert digests(here) == alone


@needs_ray
def test_a_cluster_that_obeys_strangers_and_a_node_that_computes_other_bytes_are_refused(
    make_nodes, alone, here
):
    nodes = make_nodes(token=None)
    nodes.start(ONEDNN_MAX_CPU_ISA="SSE41")
    command = [*COMMAND, "--cluster", nodes.address]
    refused = nodes.run(0, *command)
    assert "There is no token for" in refused.communicate(timeout=300)[1]
    refused = nodes.run(0, *command, RAY_AUTH_TOKEN=TOKEN)
    assert "takes orders from anyone" in refused.communicate(timeout=300)[1]
    other = nodes.run(0, *command, "--insecure")
    _, err = other.communicate(timeout=300)
    if digests(here) == alone:
        pytest.skip("this processor computes the same with the instructions of an old one")
    assert err.count("\n") == 1
    assert f"{nodes.ip(0)}: its processor computes other last digits" in err
    assert chunks(here) == 0


def test_shards_are_multiples_of_batch_and_chunk_in_order_and_taken_one_by_one():
    jobs = iter(range(500))
    shards = driver._shards(jobs, 48)
    assert next(shards) == list(range(192))
    assert next(jobs) == 192  # the rest waits until it is wanted
    assert list(map(len, shards)) == [192, 115]


def test_a_worker_computes_what_the_pipeline_does_and_returns_a_users_mistake(here):
    extractor = Extractor(lambda x: x[:, 0, :, 0].astype(np.float32), streams=1)
    plan = Plan(lambda threads: extractor, dict, 8, 4, here)
    jobs = [Job(None, write(here / f"{n}.png", n), {"plain": n, "mirror": -n}) for n in range(6)]
    worker = Worker()
    assert isinstance(worker.prove(plan, 1), Proof)
    shard = worker.compute(jobs)
    expected = list(pipeline.computed(extractor, jobs, 8, 4, 1, Times()))
    assert shard.needs == [need for need, _ in expected]
    assert np.array_equal(shard.vectors, [vector for _, vector in expected])
    jobs[3].path.write_bytes(b"no photo")
    assert "3.png is not as it was" in str(worker.compute(jobs))
    absent = Plan(plan.build, dict, 8, 4, here / "absent")
    assert "it has no folder" in str(worker.prove(absent, 1))
