"""How two panes look, as pictures. Three in the whole suite: everything else is tested by what it says and does."""

import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from omni.hardware import MachineSample
from omni.shell.app import OmniApp
from tests.shell.fakes import settled, shell

SIZE = (100, 30)
REPORT = os.environ.get(
    "TEXTUAL_SNAPSHOT_TEMPDIR", ""
)  # of this run; the tests' own environment has nothing of Textual


@pytest.fixture(autouse=True)
def report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the plug-in gathers what differs."""
    monkeypatch.setenv("TEXTUAL_SNAPSHOT_TEMPDIR", REPORT)


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OmniApp:
    """A shell whose figures do not move: the clock of the fakes, one reading of the meters."""
    app = shell(tmp_path)
    reading = MachineSample(cpu=12, memory_used=int(2.1 * (1 << 30)), memory_total=25_276_051_456, cores=2)
    monkeypatch.setattr(app.meters, "sample", lambda: reading)
    return app


async def _pane(pilot: Pilot[Any], key: str) -> None:
    await settled(pilot)
    await pilot.press(key)
    await settled(pilot)
    await settled(pilot)


async def _home(pilot: Pilot[Any]) -> None:
    await _pane(pilot, "f2")


async def _cartridges(pilot: Pilot[Any]) -> None:
    await _pane(pilot, "f5")


def test_the_dashboard(snap_compare: Any, still: OmniApp) -> None:
    assert snap_compare(still, terminal_size=SIZE, run_before=_home)


def test_the_cartridges(snap_compare: Any, still: OmniApp) -> None:
    assert snap_compare(still, terminal_size=SIZE, run_before=_cartridges)
