"""The order in which a shell comes to be: terminal, starter, wall, services, Textual."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from omni.core import confinement
from omni.core.errors import OmniError, SetupError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.keeper.starter import Starter


def check_terminal() -> None:
    """Raise SetupError where a full-screen shell cannot be shown."""
    hint = "`omni chat` is a conversation line by line, which works everywhere."
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise SetupError("There is no terminal here for the full-screen shell.", hint=hint)
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise SetupError("This terminal (TERM=dumb) cannot show the full-screen shell.", hint=hint)


def run(
    home: Home,
    *,
    brain: str = "",
    project: Path | None = None,
    plugins: bool = True,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Open the shell and stay in it; the exit code is that of the whole program. `overrides` are settings that hold whatever the
    file says.

    The starter is a child from before the wall and before anything heavy is imported.
    """
    check_terminal()
    gc.disable()  # a start makes nearly no garbage, and looking for it takes a seventh of the way to the first frame
    from omni.keeper.starter import start

    starter = start(home)
    try:
        confinement.confine()
        return _shell(home, starter, brain, project or Path.cwd(), plugins=plugins, overrides=overrides)
    finally:
        starter.goodbye()


async def _named(services: "Services", brain: str) -> str:
    """The full name of the brain that was named, or of the file. Raises NotFound or BadFile."""
    async with services:
        file = brain.startswith(("/", "./", "../", "~"))
        return (await (services.library.add(brain) if file else services.library.get(brain))).name


def _shell(
    home: Home,
    starter: "Starter | None",
    brain: str,
    project: Path,
    *,
    plugins: bool,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    from omni.app import Services
    from omni.core.logs import log_to_file
    from omni.shell.app import OmniApp

    log_to_file(home, "shell")
    if brain:  # a name that nothing has is one sentence on the command line, not a shell that cannot answer
        brain = asyncio.run(_named(Services(home, starter=None, client="shell", plugins=plugins), brain))
    services = Services(home, starter=starter, client="shell", plugins=plugins, overrides=overrides)
    app = OmniApp(services, brain=brain, project=project)
    app.when_it_stands = collect_again
    try:
        app.run(mouse=services.settings.ui.mouse)
    finally:
        from omni.shell.drafts import keep_draft

        keep_draft(home, app.draft)
    if isinstance(app.crash, OmniError):
        raise app.crash
    if app.crash is not None:
        sys.stderr.write(f"Omni's shell crashed. The log with the stack is {home.logs / 'shell.jsonl'}\n")
        logging.shutdown()
        return 1
    return app.return_code or 0


def collect_again() -> None:
    """Everything that is there now stays for good; from here on garbage is looked for, but seldom: what is drawn and
    read are many small objects, hardly any of them in circles, and Python's own figures look after every 700."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
