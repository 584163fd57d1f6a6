"""What is started by the name of a kind of process: that of sandboxed commands, which is Omni's own; for a plug-in what stands in
the file that a person agreed to, and nothing else."""

from typing import Any

from omni.core.errors import NotFound, nearest
from omni.core.paths import Home
from omni.keeper.wire import HELPER, SANDBOX, checked_spec

COMMANDS, KEPT, HOST_BYTES = 8, 60, 32 << 20  # at a time; seconds without any; of memory, without that of the commands


def granted_spec(home: Home, name: str) -> tuple[dict[str, Any], str]:
    """The spec of its process, and its priority. Raises NotFound for what was not granted, BadFile where nobody can tell."""
    if name == SANDBOX:
        own = {"slots": COMMANDS, "keep_alive": KEPT}
        return checked_spec(
            {"engine": SANDBOX, "base": SANDBOX, "path": "", "need_bytes": HOST_BYTES, "settings": own}
        ), "agent"
    from omni.core.process_kinds import granted_kinds  # most keepers never start one

    packages, kinds = granted_kinds(home)
    if (kind := kinds.get(name)) is None:
        raise NotFound(
            f"No plug-in here was granted a process {name!r}.",
            hint=nearest(name, kinds) or "`omni plugin add` asks for what a plug-in wants to run.",
        )
    settings = {"target": kind.target, "slots": 1, "keep_alive": kind.keep_alive}
    # With the folder: after an update of the plug-in nobody gets a process that runs the code from before.
    spec = {"engine": HELPER, "base": name, "path": packages, "need_bytes": kind.memory, "settings": settings}
    return checked_spec(spec), kind.priority
