"""The devices of a wheel of llama-cpp-python, by ggml's own functions, which that package declares none of.

Standard library only: it is also run as a program, by a child that must not import Omni: `python ggml_devices.py PACKAGES`
prints the rows as JSON.
"""

import ctypes
import json
import sys
from pathlib import Path

Row = tuple[str, str, int, int, str, str]
"""Name, description, bytes in all, bytes free, the end of the name that ggml gives its type, and the card ("": not known)."""

_TYPES = {1: "_DEVICE_TYPE_GPU", 2: "_DEVICE_TYPE_IGPU"}  # ggml's numbers; the processor and what helps it are others


def device_rows(packages: Path) -> list[Row]:
    """What ggml below `packages` lists, in its order. Raises OSError where it cannot be loaded."""
    libraries = sorted((packages / "llama_cpp" / "lib").glob("libggml.*"))
    if not libraries:
        raise FileNotFoundError(f"there is no libggml below {packages}")
    ggml = ctypes.CDLL(str(libraries[0]))
    count, get = ggml.ggml_backend_dev_count, ggml.ggml_backend_dev_get
    count.restype, get.restype, get.argtypes = ctypes.c_size_t, ctypes.c_void_p, [ctypes.c_size_t]
    texts = [ggml.ggml_backend_dev_name, ggml.ggml_backend_dev_description]
    for ask in texts:
        ask.restype, ask.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    kind, memory = ggml.ggml_backend_dev_type, ggml.ggml_backend_dev_memory
    kind.argtypes = [ctypes.c_void_p]
    memory.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)]
    rows: list[Row] = []
    for at in range(count()):
        device, free, total = get(at), ctypes.c_size_t(), ctypes.c_size_t()
        memory(device, ctypes.byref(free), ctypes.byref(total))
        name, words = (ask(device).decode("utf-8", "replace") for ask in texts)
        rows.append((name, words, total.value, free.value, _TYPES.get(kind(device), "CPU"), ""))
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(device_rows(Path(sys.argv[1]))) + "\n")
