"""The environment as the front ends see it: check, repair, remove, size, packages."""

import asyncio
from pathlib import Path

from omni.core.errors import SetupError
from omni.core.features import Features
from omni.core.paths import Home, source_root
from omni.environment import place
from omni.environment.diagnostics import Diagnostic, check_managed, check_own
from omni.environment.progress import Show, Step


class _CallbackDisplay:
    """Lets a callback stand where a display is expected."""

    def __init__(self, show: Show | None) -> None:
        self._show = show

    def step(self, step: Step) -> None:
        if self._show is not None:
            self._show(step)

    def say(self, sentence: str) -> None:
        """Sentences are for terminals."""

    def close(self) -> None:
        """Nothing was drawn."""


class Environment:
    """The managed environment of `clone` in `home`; without a clone (an installed package) it is only looked at."""

    def __init__(self, home: Home, clone: Path | None = None) -> None:
        self.home = home
        self.clone = source_root() if clone is None else clone

    @property
    def path(self) -> Path | None:
        """Its folder, made or not; None for an installed package."""
        from omni.environment.prepare import environment_path

        return None if self.clone is None else environment_path(self.home, self.clone, place.CORE)

    @property
    def features(self) -> Features:
        """Features on demand, by the lock files of the clone."""
        return Features(self.home, requirements=None if self.clone is None else self.clone / "requirements")

    async def check(self) -> list[Diagnostic]:
        """Look at everything; each finding carries the command that mends it."""
        from omni.environment.features import check_features

        findings = (
            await asyncio.to_thread(check_own)
            if self.clone is None
            else await asyncio.to_thread(check_managed, self.home, self.clone)
        )
        return findings + await asyncio.to_thread(check_features, self.features)

    async def repair(self, show: Show | None = None) -> None:
        """Make it anew beside what runs, and delete what interrupted set-ups left.

        Starts a process that uses the network, so never call it behind the wall. `show` is called in another thread.
        """
        from omni.environment.prepare import prepare

        await asyncio.to_thread(prepare, self.home, self._own(), place.CORE, _CallbackDisplay(show), again=True)

    async def remove(self) -> int:
        """Delete all managed environments that no other process runs from; returns the bytes that this freed."""
        from omni.environment.kept import remove_environments

        self._own()
        return await asyncio.to_thread(remove_environments, self.home)

    async def size(self) -> int:
        """Bytes on the disk."""
        from omni.environment.kept import tree_size

        path = self.path
        return 0 if path is None else await asyncio.to_thread(tree_size, path)

    async def packages(self) -> dict[str, str]:
        """Names and versions of what is installed in it."""
        from omni.environment.installer import installed, site_packages

        path = self.path
        return {} if path is None else await asyncio.to_thread(lambda: installed(site_packages(path)))

    def _own(self) -> Path:
        if self.clone is None:
            raise SetupError(
                "Omni was installed as a package; its environment belongs to the tool that installed it.",
                hint="Use that tool: pip, pipx or uv.",
            )
        return self.clone
