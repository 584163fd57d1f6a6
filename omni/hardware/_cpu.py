"""The processor: its name, cores, the vector instructions that matter to a brain, and how much of it may be used."""

import math
import re

import msgspec

from omni.hardware.probes import Probes

# What llama.cpp has kernels for, in the order in which they help, by the kernel's names for them.
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx_vnni": "VNNI",
    "avx512_bf16": "BF16",
    "amx_int8": "AMX",
    "asimd": "NEON",
    "asimddp": "DOTPROD",
    "i8mm": "I8MM",
    "sve": "SVE",
}


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """A processor. `cores` are physical, `threads` logical, `usable` is what affinity and control groups leave."""

    name: str
    cores: int
    threads: int
    usable: int
    features: tuple[str, ...] = ()
    limited_by: str = ""


def cpu(probes: Probes, quota: float | None) -> Cpu:
    """Ask the machine. `quota` is the processor time that control groups allow, in processors."""
    system, machine = probes.system()
    name, cores, threads, features = _mac(probes) if system == "Darwin" else _linux(probes)
    usable, limited_by = threads, ""
    if (affinity := probes.affinity()) and affinity < usable:
        usable, limited_by = affinity, "the affinity of this process"
    if quota is not None and quota < usable:
        usable, limited_by = max(1, math.floor(quota)), "a control group"
    return Cpu(
        name=name or machine,
        cores=min(cores, threads) or threads,
        threads=threads,
        usable=usable,
        features=tuple(dict.fromkeys(features)),
        limited_by=limited_by,
    )


def _linux(probes: Probes) -> tuple[str, int, int, list[str]]:
    text = probes.read("/proc/cpuinfo") or ""
    blocks = [dict(re.findall(r"(?m)^(.+?)\s*:\s*(.*)$", block)) for block in text.strip().split("\n\n")]
    processors = [block for block in blocks if "processor" in block]
    first = processors[0] if processors else {}
    flags = (first.get("flags") or first.get("Features") or "").split()
    places = {(block.get("physical id", "0"), block["core id"]) for block in processors if "core id" in block}
    threads = len(processors) or 1
    name = first.get("model name", "")
    if not name:  # Arm boards name themselves in the device tree
        name = (probes.read("/proc/device-tree/model") or "").strip("\0\n")
    return _short(name), len(places) or threads, threads, [_FEATURES[flag] for flag in _FEATURES if flag in flags]


def _mac(probes: Probes) -> tuple[str, int, int, list[str]]:
    def number(key: str) -> int:
        text = (probes.run(["sysctl", "-n", key]) or "").strip()
        return int(text) if text.isdigit() else 1

    name = (probes.run(["sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip()
    features = ["NEON", "DOTPROD"] if probes.system()[1] == "arm64" else ["AVX2"]
    return name, number("hw.physicalcpu"), number("hw.logicalcpu"), features


def _short(name: str) -> str:
    """ "AMD EPYC 9B14 96-Core Processor" -> "AMD EPYC 9B14"; trade marks and clock rates say nothing here."""
    name = re.sub(r"\((R|TM|C)\)|CPU|Processor|\d+-Core|@.*$", "", name, flags=re.IGNORECASE)
    return " ".join(name.split())
