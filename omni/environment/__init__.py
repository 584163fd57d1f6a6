"""The managed Python environment: made, checked, repaired, exported and removed. Importing this costs nothing."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.environment.command import Linked, link_command
    from omni.environment.diagnostics import Diagnostic
    from omni.environment.environment import Environment
    from omni.environment.export import export_wheels
    from omni.environment.features import (
        FeaturePart,
        FeaturePlan,
        FeatureRow,
        add_feature,
        list_features,
        remove_feature,
    )
    from omni.environment.kept import DiskUsage, footprint, remove_all
    from omni.environment.plugin_changes import PluginPlan, add_plugin, remove_plugin
    from omni.environment.plugin_sets import PluginRecord, PluginSet, set_in_use
    from omni.environment.plugin_trials import PluginTrial, try_plugins
    from omni.environment.progress import Step
    from omni.environment.requirements import Pin, read_lock
    from omni.environment.wheel_tags import WheelMachine, WheelName, fits_here, pinned_file, unfit, wheel_name

__getattr__, __dir__ = lazy(
    __name__,
    command="Linked link_command",
    diagnostics="Diagnostic",
    environment="Environment",
    export="export_wheels",
    features="FeaturePart FeaturePlan FeatureRow add_feature list_features remove_feature",
    kept="DiskUsage footprint remove_all",
    plugin_changes="PluginPlan add_plugin remove_plugin",
    plugin_sets="PluginRecord PluginSet set_in_use",
    plugin_trials="PluginTrial try_plugins",
    progress="Step",
    requirements="Pin read_lock",
    wheel_tags="WheelMachine WheelName fits_here pinned_file unfit wheel_name",
)
