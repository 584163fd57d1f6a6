"""The managed Python environment: made, checked, repaired, exported and removed. Importing this costs nothing."""

TYPE_CHECKING = False  # importing `typing` for it would double what a start costs
if TYPE_CHECKING:
    from omni.environment.command import Linked, link_command
    from omni.environment.diagnostics import Diagnostic
    from omni.environment.environment import Environment
    from omni.environment.export import export_wheels
    from omni.environment.kept import DiskUsage, footprint, remove_all
    from omni.environment.plugin_changes import PluginPlan, add_plugin, remove_plugin
    from omni.environment.plugin_sets import PluginRecord, PluginSet, set_in_use
    from omni.environment.plugin_trials import PluginTrial, try_plugins
    from omni.environment.progress import Step

__all__ = [
    "Diagnostic",
    "DiskUsage",
    "Environment",
    "Linked",
    "PluginPlan",
    "PluginRecord",
    "PluginSet",
    "PluginTrial",
    "Step",
    "add_plugin",
    "export_wheels",
    "footprint",
    "link_command",
    "remove_all",
    "remove_plugin",
    "set_in_use",
    "try_plugins",
]

_HOMES = {
    "Environment": "environment",
    "Diagnostic": "diagnostics",
    "DiskUsage": "kept",
    "Linked": "command",
    "PluginPlan": "plugin_changes",
    "PluginRecord": "plugin_sets",
    "PluginSet": "plugin_sets",
    "PluginTrial": "plugin_trials",
    "Step": "progress",
    "add_plugin": "plugin_changes",
    "export_wheels": "export",
    "footprint": "kept",
    "link_command": "command",
    "remove_all": "kept",
    "remove_plugin": "plugin_changes",
    "set_in_use": "plugin_sets",
    "try_plugins": "plugin_trials",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    attribute: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return attribute
