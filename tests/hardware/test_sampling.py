"""What the machine does now: how busy the processor is, whichever thread asks, and what processes hold."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from omni.hardware import Sampler, process_memory


def test_the_processor_is_as_busy_as_since_the_last_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    psutil = pytest.importorskip("psutil")

    class Times(SimpleNamespace):
        def __iter__(self) -> object:
            return iter(vars(self).values())

    samples = iter(
        [
            Times(user=10.0, idle=30.0, iowait=0.0, guest=5.0),
            Times(user=11.0, idle=32.0, iowait=1.0, guest=5.0),
            Times(user=11.1, idle=32.0, iowait=1.0, guest=5.0),
            Times(user=15.0, idle=32.0, iowait=1.0, guest=8.0),
        ]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(samples))
    processor = Sampler()
    assert processor.percent() == 25  # since the machine was started
    assert processor.percent() == 25  # a second of four, and waiting for a disk is no work
    assert processor.percent() == 25  # too soon for another figure
    assert processor.percent() == 100


def test_a_sample_is_of_this_machine() -> None:
    sample = Sampler().sample()
    assert 0 <= sample.cpu <= 100
    assert sample.cores > 0
    assert 0 < sample.memory_used < sample.memory_total
    assert 0 < sample.memory_free <= sample.memory_total


def test_the_memory_of_processes_is_told_and_one_that_has_ended_is_left_out() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    memory = process_memory([os.getpid(), ended.pid])
    assert list(memory) == [os.getpid()]
    assert memory[os.getpid()] > 1_000_000
