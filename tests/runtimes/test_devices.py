"""The devices of a build: asked behind the wall, believed within bounds, software only where it was asked for."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.engine.llama import LoadFailed, own_split
from omni.hardware import ComputeDevice
from omni.runtimes import BUILT_IN, Runtime, RuntimeTrial, Speeds, choose, find_devices
from omni.runtimes.devices import listed, own_order, reported

SERVER = f"""#!{sys.executable}
import os, sys
assert sys.argv[1:] == ["--list-devices"]
print("Available devices:")
if os.environ.get("GGML_VK_VISIBLE_DEVICES") == "0":
    print("  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (2048 MiB, 2000 MiB free)")
else:
    print({{more!r}})
"""
SOFTWARE = ComputeDevice(
    name="Vulkan0",
    description="llvmpipe (LLVM 15.0.6, 256 bits)",
    kind="software",
    total=2048 << 20,
    free=2000 << 20,
)
CARD = ComputeDevice(name="CUDA0", description="NVIDIA T400", kind="gpu", total=4 << 30, free=3 << 30)
OWN = Runtime(name=BUILT_IN, kind="xllamacpp", version="1")
ADDED = Runtime(name="added", kind="llama_server", sha256="a" * 64, binary="bin/llama-server")
OTHER = Runtime(name="other", kind="llama_server", sha256="b" * 64, binary="bin/llama-server")


def server(folder: Path, more: str = "  (none)", text: str = SERVER) -> Runtime:
    path = folder / "llama-server"
    path.write_text(text.replace("{more!r}", repr(more)))
    path.chmod(0o700)
    return Runtime(name="own", kind="llama_server", binary=str(path))


def test_software_is_looked_for_only_where_a_person_wants_a_graphics_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GGML_VK_VISIBLE_DEVICES", raising=False)
    runtime = server(tmp_path)
    assert find_devices(runtime, "auto") == ()
    assert find_devices(runtime, "off") == ()
    assert find_devices(runtime, "on") == (SOFTWARE,)
    assert SOFTWARE.words == "Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (software, slow)"


def test_software_is_not_looked_for_where_there_is_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GGML_VK_VISIBLE_DEVICES", raising=False)
    runtime = server(tmp_path, "  CUDA0: NVIDIA T400 (4096 MiB, 3072 MiB free)")
    assert find_devices(runtime, "on") == find_devices(runtime, "auto") == (CARD,)


def test_a_program_that_fails_or_prints_nonsense_has_no_devices(tmp_path: Path) -> None:
    assert find_devices(server(tmp_path, "  CUDA0: nothing of the kind"), "auto") == ()
    assert find_devices(server(tmp_path, text=f"#!{sys.executable}\nraise SystemExit(3)\n"), "on") == ()
    assert find_devices(Runtime(name="gone", kind="llama_server", binary=str(tmp_path / "gone")), "on") == ()
    assert listed("  X: \x1b[31mred (1 MiB, 9 MiB free)\n")[0].description == "[31mred"
    assert listed("  X: red (1 MiB, 9 MiB free)\n")[0].free == 1 << 20


def test_what_xllamacpp_reports_is_understood_and_the_processor_is_no_device() -> None:
    told = """noise
[["CPU", "AMD EPYC", 9, 9, "GGML_BACKEND_DEVICE_TYPE_CPU", ""],
 ["CUDA0", "NVIDIA T400", 4294967296, 3221225472, "GGML_BACKEND_DEVICE_TYPE_GPU", "0000:01:00.0"],
 ["Vulkan0", "NVIDIA T400", 4294967296, 3221225472, "GGML_BACKEND_DEVICE_TYPE_GPU", "0000:01:00.0"],
 ["Vulkan1", "Strange", 8, 4, "GGML_BACKEND_DEVICE_TYPE_IGPU", ""]]""".replace("\n ", " ").replace("noise\n", "noise\n")
    assert reported(told.replace("]]", "]]\n")) == (
        msgspec.structs.replace(CARD, card="0000:01:00.0"),
        ComputeDevice(name="Vulkan1", description="Strange", kind="integrated", total=8, free=4),
    )
    assert reported("[[1]]") == reported("") == reported('{"a": 1}') == ()


GPU, IGPU, CPU = (f"GGML_BACKEND_DEVICE_TYPE_{kind}" for kind in ("GPU", "IGPU", "CPU"))


def test_a_wheel_counts_cards_once_and_what_is_built_in_only_where_there_is_none() -> None:
    rows = [("Vulkan0", IGPU, "a"), ("CUDA0", GPU, "b"), ("Vulkan1", GPU, "b"), ("CUDA1", GPU, ""), ("CPU", CPU, "")]
    assert own_order(rows) == ["CUDA0", "CUDA1"]
    assert own_order([*rows, ("RPC0[other:1]", GPU, "")]) == ["RPC0[other:1]", "CUDA0", "CUDA1"]
    assert own_order([rows[0], rows[-1]]) == ["Vulkan0"]
    assert own_order([("CPU", CPU, "")]) == []


def test_layers_go_to_the_planned_devices_however_the_wheel_orders_its_own() -> None:
    def own(*names: str) -> list[tuple[str, str, str]]:
        return [(name, GPU, name) for name in names]

    planned = {"gpu_layers": 7, "devices": "Vulkan1,Vulkan2", "tensor_split": "3,4"}
    assert own_split(planned, own("Vulkan0", "Vulkan1", "Vulkan2")) == [0.0, 3.0, 4.0]
    assert own_split(planned, own("Vulkan2", "Vulkan1")) == [4.0, 3.0]
    with pytest.raises(LoadFailed, match="The device Vulkan2 is not there any more"):
        own_split(planned, own("Vulkan0", "Vulkan1"))


def trial(runtime: Runtime, prompt: float, answer: float, **more: Any) -> RuntimeTrial:
    speeds = Speeds(prompt=prompt, answer=answer) if prompt else None
    facts = {"machine": "here", "types": ("F16",), "speeds": speeds, "own": Speeds(prompt=100.0, answer=20.0), **more}
    return RuntimeTrial(runtime=runtime.key, **facts)


def chosen(use: str, gpu: Any, *trials: RuntimeTrial, types: tuple[str, ...] = ("F16",)) -> Any:
    by_key = [(one, [each for each in trials if each.runtime == one.key]) for one in (OWN, ADDED, OTHER)]
    return choose(use, types, by_key, "here", gpu)


def test_auto_takes_a_card_that_measured_better_and_never_software() -> None:
    on_card = trial(ADDED, 900.0, 90.0, layers=9, devices=(CARD,), looked="auto")
    choice = chosen("auto", "auto", on_card)
    assert (choice.runtime, choice.devices) == ("added", (CARD,))
    assert chosen("auto", "off", on_card).runtime == BUILT_IN
    fast_software = trial(ADDED, 900.0, 90.0, layers=9, devices=(SOFTWARE,), looked="on")
    assert chosen("auto", "auto", fast_software) == chosen(BUILT_IN, "auto", fast_software)
    assert chosen("added", "auto", fast_software).devices == ()


def test_on_takes_a_device_however_slow_and_the_one_that_answers_fastest() -> None:
    slow = trial(ADDED, 2.0, 1.0, layers=9, devices=(SOFTWARE,), looked="on")
    assert chosen("auto", "on", slow, trial(OTHER, 0.0, 0.0, looked="on")).devices == (SOFTWARE,)
    quicker = trial(OTHER, 2.0, 1.5, layers=9, devices=(SOFTWARE,), looked="on")
    assert chosen("auto", "on", slow, quicker).runtime == "other"
    assert chosen("added", "on", slow, quicker).runtime == "added"


def test_on_asks_for_a_trial_first_and_says_where_no_device_answers() -> None:
    assert chosen("auto", "on").untried
    assert chosen("auto", "on", trial(ADDED, 50.0, 9.0, looked="on")).untried  # of the other one nobody knows
    looked = [trial(one, 50.0, 9.0, looked="on") for one in (ADDED, OTHER)]
    choice = chosen("auto", "on", *looked)
    assert (choice.runtime, choice.untried) == (BUILT_IN, False)
    assert choice.words == "no engine here answers on a graphics processor with F16"
    assert "no graphics processor is used" in chosen(BUILT_IN, "on", *looked).words


def test_a_named_engine_whose_processor_code_fails_answers_on_its_card() -> None:
    broken = trial(ADDED, 0.0, 0.0, words="ends with an illegal instruction", devices=(CARD,), looked="auto")
    on_card = trial(ADDED, 900.0, 90.0, layers=9, devices=(CARD,), looked="auto")
    choice = chosen("added", "auto", broken, on_card)
    assert (choice.runtime, choice.devices, choice.words) == ("added", (CARD,), "")
    assert "illegal instruction" in chosen("added", "off", broken, on_card).words
