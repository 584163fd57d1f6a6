"""What Omni itself adds by the hooks: a plug-in like those of strangers, which has its names before them.

Each method imports what it returns, so that asking for one kind of thing imports none of the others. What must stand on the
screen before any hook is asked (the rail, the help of the command line) is drawn from the very tables that stand here.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omni.core.hooks import DoctorCheck, hookimpl

if TYPE_CHECKING:
    from omni.cartridges import Source
    from omni.shell.panes import PaneSpec


class BuiltIn:
    """Registered as `Omni`."""

    @hookimpl
    def omni_commands(self) -> Sequence[Any]:
        """The names of the commands: a module is imported when its command runs."""
        from omni.cli.main import TAKEN

        return TAKEN

    @hookimpl
    def omni_panes(self) -> "Sequence[PaneSpec]":
        """The rail."""
        from omni.shell.panes import BUILT_IN

        return BUILT_IN

    @hookimpl
    def omni_slash_commands(self) -> Sequence[Any]:
        """What the chat knows after `/`."""
        from omni.shell.conversation.slash_commands import COMMANDS

        return COMMANDS

    @hookimpl
    def omni_doctor_checks(self) -> Sequence[DoctorCheck]:
        """What `omni doctor` looks at."""
        from omni.diagnostics import CHECKS

        return CHECKS

    @hookimpl
    def omni_cartridge_sources(self) -> "Sequence[Source]":
        """Where brains come from."""
        from omni.cartridges.pulls import SOURCES

        return SOURCES

    @hookimpl
    def omni_engines(self) -> Sequence[Any]:
        """The name of the engine that runs what no other one wants; it is opened with a budget, which no plug-in has."""
        from omni.runtimes import BUILT_IN

        return (BUILT_IN,)
