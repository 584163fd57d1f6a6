"""Which model an engine's kind loads, and the worker that serves it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni.core.errors import BadFile, EngineError, OmniError, SetupError
from omni.engine.llama import BATCH, CANNOT_LOAD
from omni.engine.stepwise.prompts import PromptRefused
from omni.engine.stepwise.server import StepServer
from omni.runtimes import ABILITIES, Ability

if TYPE_CHECKING:
    from omni.engine.stepwise.model import StepModel
    from omni.runtimes import Runtime

# What a worker's settings ask for beside answers; what only makes answers come faster may be missing, and is not among it.
_ASKED: Mapping[Ability, Callable[[Mapping[str, Any]], bool]] = {
    "images": lambda settings: bool(settings.get("projector")),
    "adapters": lambda settings: settings.get("adapters", "[]") != "[]",
    "vectors": lambda settings: bool(settings.get("embeddings")) and settings.get("pooling") != "rank",
    "ranks": lambda settings: settings.get("pooling") == "rank",
    "devices": lambda settings: bool(settings.get("gpu_layers")),
}


def start(runtime: "Runtime", path: str, socket: str, key: str, settings: dict[str, Any]) -> StepServer:
    """Load the GGUF at `path` by the packages of `runtime` and serve it on `socket`; returns the server, which lives as long as
    it is referenced. Raises BadFile, LoadFailed, and SetupError for what this kind of engine cannot do."""
    for ability in _ASKED.keys() - ABILITIES[runtime.kind]:
        if _ASKED[ability](settings):
            raise SetupError(f"it cannot do {ability}", hint="Choose another engine: `omni engine use auto`.")
    sys.path.insert(0, str(runtime.packages))
    try:
        server = StepServer(socket, key, settings, _loader(runtime, path, settings), batch=BATCH)
    except PromptRefused as error:
        raise BadFile(
            f"{CANNOT_LOAD} {Path(path).name}: {error}.",
            hint="The template is wrong, not the request: look for a newer file of this brain, or one by somebody else.",
        ) from error
    except (ImportError, OSError) as error:
        raise EngineError(
            f"its packages cannot be used: {error}", hint=f"`omni engine rm {runtime.name}`, and add it again."
        ) from error
    except OmniError:
        raise
    except Exception as error:  # what a stranger's file may bring about in a package has no end
        raise BadFile(
            f"{CANNOT_LOAD} {Path(path).name}: {type(error).__name__}: {error}.",
            hint="Verify the file, or try another quantisation of this brain.",
        ) from error
    server.start()
    return server


def _loader(runtime: "Runtime", path: str, settings: dict[str, Any]) -> "Callable[[], StepModel]":
    if runtime.kind == "mlx":
        from omni.engine.stepwise.mlx import MlxModel

        return lambda: MlxModel(runtime.packages, path, settings)
    from omni.engine.stepwise.llama_cpp import LlamaCppModel

    return lambda: LlamaCppModel(runtime.packages, path, settings)
