"""Timings: CPU time, not the clock's; of all threads and processes; without start-up."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dogs_vs_cats.features import extraction, timings

SPIN = "import time\nwhile time.process_time() < 0.25: pass"


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_waiting_takes_seconds_and_no_cpu_time(here):
    meter = timings.Meter(here)
    time.sleep(0.3)
    meter.made("train-plain", 3)
    meter.save()
    spent = timings.read(here, ["train-plain"])
    assert spent.seconds >= 0.3
    assert (spent.count, spent.measured) == (3, 3)
    assert spent.cpu < 0.1


def test_all_threads_and_processes_that_ended_count(here):
    meter = timings.Meter(here)
    thread = threading.Thread(target=spin, args=(0.1,))
    thread.start()
    spin(0.1)
    thread.join()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    meter.made("folds")
    meter.save()
    assert timings.cpu_of(here, "folds", 1) > 0.4


def test_start_up_within_start_up_is_left_out_once():
    before = timings.cpu()
    with timings.start_up():
        spin(0.05)
        with timings.start_up():
            spin(0.1)
    spin(0.1)
    assert 0.1 <= timings.cpu() - before < 0.2


def test_what_workers_elsewhere_spend_counts():
    before = timings.cpu()
    timings.spent_elsewhere(2.0)
    assert 2.0 <= timings.cpu() - before < 2.1


def test_features_are_measured_without_the_start_of_the_network(source, quick, run, monkeypatch):
    honest = extraction.extractor_of

    def slow(*arguments):
        spin(0.5)
        return honest(*arguments)

    monkeypatch.setattr(extraction, "extractor_of", slow)
    run("features", "--recipe", "tiny.toml")
    (record,) = Path("cache/source").glob("*/" + timings.NAME)
    stores = ["train-plain", "train-mirror", "test-plain", "test-mirror"]
    spent = timings.read(record.parent, stores)
    assert (spent.count, spent.measured) == (58, 58)
    assert spent.seconds > 0.5
    assert 0 < spent.cpu < 0.5


def test_a_run_that_is_killed_has_recorded_what_it_made_until_then(here, monkeypatch):
    meter = timings.Meter(here)
    meter.made("train-plain", 5)
    assert timings.read(here, ["train-plain"]) is None
    monkeypatch.setattr(timings, "EVERY", 0.0)
    meter.made("train-plain", 5)
    assert timings.read(here, ["train-plain"]).count == 10
    meter.save()  # nothing was made since
    assert timings.read(here, ["train-plain"]).count == 10


def test_parts_that_were_not_measured_take_what_the_measured_ones_did(here):
    timings.add(here, 8.0, {"train-plain": 6, "train-mirror": 2}, cpu=4.0)
    assert timings.cpu_of(here, "train-plain", 12) == pytest.approx(6.0)
    assert timings.cpu_of(here, "train-mirror", 1) == pytest.approx(0.5)
    assert timings.cpu_of(here, "train-zoom", 1) is None
    assert timings.cpu_of(here, "train-zoom", 0) == 0


def test_a_file_from_before_cpu_time_was_recorded_is_added_to(here):
    (here / timings.NAME).write_text(json.dumps({"test-plain": {"seconds": 9.0, "count": 4}}))
    assert timings.read(here, ["test-plain"]) == timings.Spent(9.0, 4)
    assert timings.cpu_of(here, "test-plain", 4) is None
    timings.add(here, 1.0, {"test-plain": 1}, cpu=2.0)
    assert timings.read(here, ["test-plain"]) == timings.Spent(10.0, 5, 2.0, 1)
    assert timings.cpu_of(here, "test-plain", 5) == pytest.approx(10.0)
