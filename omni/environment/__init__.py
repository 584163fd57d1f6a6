"""The managed Python environment: made, checked, repaired, exported and removed. Importing this costs nothing."""

TYPE_CHECKING = False  # importing `typing` for it would double what a start costs
if TYPE_CHECKING:
    from omni.environment.command import Linked, link_command
    from omni.environment.diagnostics import Diagnostic
    from omni.environment.environment import Environment
    from omni.environment.export import export_wheels
    from omni.environment.kept import DiskUsage, footprint, remove_all
    from omni.environment.progress import Step

__all__ = [
    "Diagnostic",
    "DiskUsage",
    "Environment",
    "Linked",
    "Step",
    "export_wheels",
    "footprint",
    "link_command",
    "remove_all",
]

_HOMES = {
    "Environment": "environment",
    "Diagnostic": "diagnostics",
    "DiskUsage": "kept",
    "Linked": "command",
    "Step": "progress",
    "export_wheels": "export",
    "footprint": "kept",
    "link_command": "command",
    "remove_all": "kept",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    attribute: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return attribute
