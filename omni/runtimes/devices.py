"""What a build can compute on beside the processor: asked in a child of its own, behind the wall.

llama.cpp hides devices that are programs until `GGML_VK_VISIBLE_DEVICES` names them. Omni sets that only where a person said
that a graphics processor shall be used, and there is no real one.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from omni.core.errors import EngineError
from omni.hardware import ComputeDevice, DeviceKind, GpuUse, device_kind, usable_devices
from omni.runtimes.child import ask_child
from omni.runtimes.runtime import BUILT_IN, Runtime

SHOWS_SOFTWARE = {"GGML_VK_VISIBLE_DEVICES": "0"}
_PATIENCE = 60.0  # seconds: a driver may compile something first
_MOST = 64  # devices that are believed
_LISTED = re.compile(r"^\s+(\S+): (.*) \((\d+) MiB, (\d+) MiB free\)\s*$", re.MULTILINE)
_MIB = 1 << 20
_ASK = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); import xllamacpp; "
    "print(json.dumps([[d['name'], d['description'], d['memory_total'], d['memory_free'], d['type'].name] "
    "for d in xllamacpp.get_device_info()]))"
)


def find_devices(runtime: Runtime, gpu: GpuUse) -> tuple[ComputeDevice, ...]:
    """The devices of a build, software ones only where `gpu` is "on" and there is no other. None where it cannot be asked.
    Blocking for a second or more."""
    if runtime.name == BUILT_IN or gpu == "off":
        return ()
    devices = _asked(runtime, {})
    if gpu == "on" and not usable_devices(devices, "auto"):
        devices = _asked(runtime, SHOWS_SOFTWARE) or devices
    return devices


def _asked(runtime: Runtime, more: Mapping[str, str]) -> tuple[ComputeDevice, ...]:
    server = runtime.kind == "llama_server"
    program = runtime.program if server else Path(sys.executable)
    words = (
        ["--list-devices"]
        if server
        else ["-I", "-B", "-X", f"pycache_prefix={os.devnull}", "-c", _ASK, str(runtime.packages)]
    )
    try:
        said = ask_child(program, words, runtime.library_folders, patience=_PATIENCE, more=more)
    except EngineError:
        return ()
    return (listed(said.text) if server else reported(said.text)) if said.code == 0 else ()


def listed(text: str) -> tuple[ComputeDevice, ...]:
    """The devices that `llama-server --list-devices` prints."""
    return tuple(
        _device(name, description, int(total) * _MIB, int(free) * _MIB)
        for name, description, total, free in _LISTED.findall(text)[:_MOST]
    )


def reported(text: str) -> tuple[ComputeDevice, ...]:
    """The same of what xllamacpp's `get_device_info` says; the processor itself is none."""
    try:
        told = json.loads(text.strip().rpartition("\n")[2])
        rows = [(str(name), str(words), int(total), int(free), str(kind)) for name, words, total, free, kind in told]
    except (ValueError, TypeError):
        return ()
    return tuple(
        _device(name, words, total, free, integrated=kind.endswith("_IGPU"))
        for name, words, total, free, kind in rows[:_MOST]
        if kind.endswith("GPU")
    )


def _device(name: str, words: str, total: int, free: int, *, integrated: bool = False) -> ComputeDevice:
    words = "".join(letter if letter.isprintable() else " " for letter in words).strip()[:120]
    kind: DeviceKind = device_kind(words)
    if integrated and kind == "gpu":
        kind = "integrated"
    return ComputeDevice(name=name[:40], description=words, kind=kind, total=total, free=min(free, total))
