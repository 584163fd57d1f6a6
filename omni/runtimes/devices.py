"""What a build can compute on beside the processor: asked in a child of its own, behind the wall.

llama.cpp hides devices that are programs until `GGML_VK_VISIBLE_DEVICES` names them. Omni sets that only where a person said
that a graphics processor shall be used, and there is no real one.
"""

import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from omni.core.errors import EngineError, OmniError
from omni.hardware import ComputeDevice, DeviceKind, GpuUse, device_kind, usable_devices
from omni.runtimes.child import ask_child
from omni.runtimes.registry import Runtimes
from omni.runtimes.runtime import ABILITIES, BUILT_IN, Runtime

SHOWS_SOFTWARE = {"GGML_VK_VISIBLE_DEVICES": "0"}
_PATIENCE = 60.0  # seconds: a driver may compile something first
_MOST = 64  # devices that are believed
_LISTED = re.compile(r"^\s+(\S+): (.*) \((\d+) MiB, (\d+) MiB free\)\s*$", re.MULTILINE)
_MIB = 1 << 20
_CARD, _INTEGRATED = "_DEVICE_TYPE_GPU", "_DEVICE_TYPE_IGPU"  # how ggml's types of devices end
_REMOTE = "RPC"
_ASK = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); import xllamacpp; "
    "print(json.dumps([[d['name'], d['description'], d['memory_total'], d['memory_free'], d['type'].name, d.get('device_id') or ''] "
    "for d in xllamacpp.get_device_info()]))"
)


def find_devices(runtime: Runtime, gpu: GpuUse) -> tuple[ComputeDevice, ...]:
    """The devices of a build, software ones only where `gpu` is "on" and there is no other. None where it cannot be asked.
    Blocking for a second or more."""
    if runtime.name == BUILT_IN or gpu == "off" or "devices" not in ABILITIES[runtime.kind]:
        return ()
    devices = _asked(runtime, {})
    if gpu == "on" and not usable_devices(devices, "auto"):
        devices = _asked(runtime, SHOWS_SOFTWARE) or devices
    return devices


def _asked(runtime: Runtime, more: Mapping[str, str]) -> tuple[ComputeDevice, ...]:
    server = runtime.kind == "llama_server"
    program = runtime.program if server else Path(sys.executable)
    ask = [str(Path(__file__).with_name("ggml_devices.py"))] if runtime.kind == "llama_cpp" else ["-c", _ASK]
    words = (
        ["--list-devices"]
        if server
        else ["-I", "-B", "-X", f"pycache_prefix={os.devnull}", *ask, str(runtime.packages)]
    )
    try:
        said = ask_child(program, words, runtime.library_folders, patience=_PATIENCE, more=more)
    except EngineError:
        return ()
    return (listed(said.text) if server else reported(said.text)) if said.code == 0 else ()


def known_devices(registry: Runtimes, engine: str, names: Collection[str]) -> tuple[ComputeDevice, ...]:
    """Those of an engine's devices with these names, as its last trial found them; none where nothing is known of it. Blocking."""
    try:
        trials = registry.tried(registry.get(engine))
    except OmniError:
        return ()
    devices = next((trial.devices for trial in reversed(trials) if trial.looked), ())
    return tuple(device for device in devices if device.name in names)


def listed(text: str) -> tuple[ComputeDevice, ...]:
    """The devices that `llama-server --list-devices` prints."""
    return tuple(
        _device(name, description, int(total) * _MIB, int(free) * _MIB)
        for name, description, total, free in _LISTED.findall(text)[:_MOST]
    )


def reported(text: str) -> tuple[ComputeDevice, ...]:
    """The same of what xllamacpp's `get_device_info` says, or ggml itself; the processor is none, and a card that two backends
    know is one."""
    try:
        told = json.loads(text.strip().rpartition("\n")[2])
        rows = [
            (str(name), str(words), int(total), int(free), str(kind), str(card))
            for name, words, total, free, kind, card in told
        ]
    except (ValueError, TypeError):
        return ()
    own = own_order([(name, kind, card) for name, _, _, _, kind, card in rows])
    by_name = {row[0]: row for row in rows}
    integrated = [name for name, *_, kind, _ in rows if kind.endswith(_INTEGRATED)]
    return tuple(
        _device(*by_name[name][:4], integrated=name in integrated, card=by_name[name][5])
        for name in [*own, *(name for name in integrated if name not in own)][:_MOST]
    )


def own_order(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """The devices that llama.cpp deals layers out to where nobody names any, in its order, of (name, type, card) in the order of
    its list: other machines first, then cards, each once; what is built into the processor where there is no card.

    As `llama_prepare_model_devices` in llama.cpp's `src/llama.cpp` has it.
    """
    cards: dict[str, str] = {}
    for name, kind, card in rows:
        if kind.endswith(_CARD) and not name.startswith(_REMOTE):
            cards.setdefault(card or name, name)
    remote = [name for name, kind, _ in rows if kind.endswith(_CARD) and name.startswith(_REMOTE)]
    return [*remote, *(cards.values() or (name for name, kind, _ in rows if kind.endswith(_INTEGRATED)))]


def _device(name: str, words: str, total: int, free: int, *, integrated: bool = False, card: str = "") -> ComputeDevice:
    words = "".join(letter if letter.isprintable() else " " for letter in words).strip()[:120]
    kind: DeviceKind = device_kind(words)
    if integrated and kind == "gpu":
        kind = "integrated"
    return ComputeDevice(
        name=name[:40], description=words, kind=kind, total=total, free=min(free, total), card=card[:40]
    )
