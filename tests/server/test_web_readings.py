"""How busy the processor is, whichever thread asks."""

from types import SimpleNamespace

import pytest

from omni.server.webapi.readings import Processor


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
    processor = Processor()
    assert processor.percent() == 25  # since the machine was started
    assert processor.percent() == 25  # a second of four, and waiting for a disk is no work
    assert processor.percent() == 25  # too soon for another figure
    assert processor.percent() == 100
