"""Which model an engine's kind loads, and the worker that serves it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni.core.errors import BadFile, EngineError, SetupError
from omni.engine.llama import BATCH, CANNOT_LOAD
from omni.engine.stepwise.prompts import PromptRefused
from omni.engine.stepwise.server import StepServer

if TYPE_CHECKING:
    from omni.engine.stepwise.model import StepModel
    from omni.runtimes import Runtime

NOT_TAKEN = {
    "adapters": "adapters",
    "projector": "images",
}


def start(runtime: "Runtime", path: str, socket: str, key: str, settings: dict[str, Any]) -> StepServer:
    """Load the GGUF at `path` by the packages of `runtime` and serve it on `socket`; returns the server, which lives as long as
    it is referenced. Raises BadFile, LoadFailed, and SetupError for what this kind of engine cannot do."""
    for name, what in NOT_TAKEN.items():
        if settings.get(name) not in (None, "", "[]"):
            raise SetupError(f"it cannot be given {what}", hint="Choose another engine: `omni engine use auto`.")
    if settings.get("pooling") == "rank":
        raise SetupError("it cannot rank texts", hint="Choose another engine: `omni engine use auto`.")
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
    server.start()
    return server


def _loader(runtime: "Runtime", path: str, settings: dict[str, Any]) -> "Callable[[], StepModel]":
    if runtime.kind == "mlx":
        from omni.engine.stepwise.mlx import MlxModel

        return lambda: MlxModel(runtime.packages, path, settings)
    from omni.engine.stepwise.llama_cpp import LlamaCppModel

    return lambda: LlamaCppModel(runtime.packages, path, settings)
