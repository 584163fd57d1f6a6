"""What must be on this machine to compile an engine, and the command that helps where it is missing."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from omni.core.errors import SetupError

Backend = Literal["cpu", "cuda", "vulkan"]
VULKAN_HAS = (
    "VK_EXT_layer_settings"  # what llama.cpp names of Vulkan's headers that came last: those of 2023 have no such
)
CMAKE_FROM = (3, 18)  # what llama.cpp's CUDA part asks for; all else is content with 3.14

_DEBIAN, _FEDORA, _ARCH, _SUSE, _MAC = (
    "sudo apt install",
    "sudo dnf install",
    "sudo pacman -S",
    "sudo zypper in",
    "brew install",
)
_PACKAGES = {  # what is missing -> by each package manager
    "compiler": {
        _DEBIAN: "g++",
        _FEDORA: "gcc-c++",
        _ARCH: "gcc",
        _SUSE: "gcc-c++",
    },
    "glslc": {_DEBIAN: "glslc", _FEDORA: "glslc", _ARCH: "shaderc", _SUSE: "shaderc", _MAC: "shaderc"},
    "vulkan": {
        _DEBIAN: "libvulkan-dev",
        _FEDORA: "vulkan-headers vulkan-loader-devel",
        _ARCH: "vulkan-headers vulkan-icd-loader",
        _SUSE: "vulkan-devel",
        _MAC: "vulkan-headers vulkan-loader",
    },
    "spirv": {
        _DEBIAN: "spirv-headers",
        _FEDORA: "spirv-headers-devel",
        _ARCH: "spirv-headers",
        _SUSE: "spirv-headers",
        _MAC: "spirv-headers",
    },
    "nvcc": {_DEBIAN: "nvidia-cuda-toolkit", _ARCH: "cuda"},
}
_INCLUDES = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")


class Toolchain:
    """The programs and headers of this machine that compile, as `environment` (PATH, CXX, VULKAN_SDK, CUDACXX …) leads to them."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        includes: tuple[str, ...] = _INCLUDES,
        cuda: Path = Path("/usr/local/cuda"),
    ) -> None:
        self._environment, self._includes, self._cuda = environment, includes, cuda

    def program(self, name: str) -> Path | None:
        """Where a program is."""
        path = shutil.which(name, path=self._environment.get("PATH"))
        return Path(path) if path else None

    def cmake(self) -> Path | None:
        """A cmake that is new enough."""
        path = self.program("cmake")
        return path if path is not None and _version(path) >= CMAKE_FROM else None

    def require(self, backend: Backend) -> None:
        """Raise SetupError for the first thing that is missing to compile with this backend, with what helps."""
        compilers = (*filter(None, [self._environment.get("CXX")]), "c++", "g++", "clang++")
        if not any(self.program(name) for name in compilers):
            raise self._missing("compiler", "a C++ compiler")
        if backend == "cuda" and not (self._environment.get("CUDACXX") or self._nvcc()):
            raise self._missing("nvcc", "NVIDIA's compiler (nvcc) for --cuda")
        if backend == "vulkan":
            if not self.program("glslc"):
                raise self._missing("glslc", "the shader compiler (glslc) for --vulkan")
            headers = self._header("vulkan/vulkan_core.h")
            if headers is None:
                raise self._missing("vulkan", "Vulkan's headers (vulkan/vulkan_core.h) for --vulkan")
            if VULKAN_HAS not in (text := headers.read_text("utf-8", "replace")):
                version = re.search(r"#define VK_HEADER_VERSION (\d+)", text)
                raise SetupError(
                    f"Vulkan's headers in {headers.parent} are too old to build an engine: they lack {VULKAN_HAS}"
                    f"{f' (VK_HEADER_VERSION is {version[1]})' if version else ''}.",
                    hint="Debian 13 and Ubuntu 24.04 have newer ones. Elsewhere: Vulkan-Headers or LunarG's SDK in a folder of its "
                    "own, whose path VULKAN_SDK names.",
                )
            if not self._header("spirv/unified1/spirv.hpp"):
                raise self._missing("spirv", "SPIR-V's headers (spirv/unified1/spirv.hpp) for --vulkan")

    def _nvcc(self) -> bool:
        return bool(self.program("nvcc")) or (self._cuda / "bin/nvcc").is_file()

    def _header(self, name: str) -> Path | None:
        """Where a header is, as compilers find it."""
        kit = self._environment.get("VULKAN_SDK")
        folders = (*([f"{kit}/include"] if kit else []), *self._includes)
        paths = (Path(folder) / name for folder in folders)
        return next((path for path in paths if path.is_file()), None)

    def _missing(self, what: str, words: str) -> SetupError:
        packages = _PACKAGES[what]
        for manager in (_DEBIAN, _FEDORA, _ARCH, _SUSE, _MAC):
            if manager in packages and self.program(manager.removeprefix("sudo ").split()[0]):
                return SetupError(
                    f"To build an engine {words} is needed, and none is here.", hint=f"{manager} {packages[manager]}"
                )
        help_by_hand = {
            "compiler": "On macOS: xcode-select --install. Elsewhere: the package g++ or clang of your system.",
            "nvcc": "It comes with NVIDIA's CUDA toolkit; CUDACXX may name one that lies elsewhere.",
        }
        return SetupError(
            f"To build an engine {words} is needed, and none is here.",
            hint=help_by_hand.get(what, f"Install {packages[_DEBIAN]}, by whatever name your system has it."),
        )


def _version(cmake: Path) -> tuple[int, ...]:
    """The version of a cmake; (0,) where it does not tell."""
    try:
        said = subprocess.run([cmake, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    match = re.search(r"version (\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0,)
