"""Orders to the installer process that fill one new folder of packages beside the environment: of plug-ins, or of a feature."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omni.core.errors import SetupError
from omni.core.files import make_folder, storing
from omni.core.paths import Home
from omni.environment.folder_pip import LEFT, TEMPORARY
from omni.environment.installer import WHEEL
from omni.environment.progress import Display
from omni.environment.running import run_installer


class FolderInstaller:
    """The installer process for the new folder `new`.

    `lock` is the descriptor of a lock that it shall hold as long as it lives, `links` are folders of wheels that are here
    already, `wheels` one that `omni export` wrote: nothing is asked of the network then. `requirements` has the lock of pip.
    """

    def __init__(
        self,
        home: Home,
        new: Path,
        display: Display,
        *,
        lock: int,
        requirements: Path,
        log: str,
        wheels: Path | None = None,
        links: Sequence[Path] = (),
    ) -> None:
        self.new, self.is_offline = new, wheels is not None
        self._home, self._display, self._lock = home, display, lock
        folder = (wheels / "wheels" if (wheels / "wheels").is_dir() else wheels) if wheels is not None else None
        kept = Path(sys.prefix) / WHEEL  # what made the environment that runs
        self._order = {
            "target": str(new),
            "links": [str(each) for each in (*links, folder) if each is not None],
            "pip": str(kept) if kept.is_file() else "",
            "pip_from": None if folder is None else str(folder),
            "installer": str(requirements / "installer.txt"),
            "total": 0,
            "log": str(home.logs / log),
            "temporary": str(new / TEMPORARY),
        }

    def run(self, task: str, *, online: bool, **more: Any) -> Any:
        """One order; a process that is `online` ends with the air gap."""
        order = {**self._order, **more, "task": task, "online": online}
        order |= {} if online else {"wheels": order["links"][0]}  # nothing is to be fetched
        with storing(self.new):
            make_folder(self.new / TEMPORARY)
        module = "omni.environment.folder_pip"
        try:
            return run_installer(self._home, order, self._display, keep=self._lock, module=module)
        finally:
            self._display.close()

    def unpack(self, lock: Path, packages: Path, wanted: Sequence[str], *, online: bool) -> dict[str, str]:
        """Install what `lock` names into the folder `packages`; returns names and versions. What only the installer needed is
        gone then. Raises SetupError where one of `wanted` is not there although pip was content."""
        versions: dict[str, str] = self.run(
            "unpack", online=online, lock=str(lock), packages=str(packages), total=len(wanted)
        )
        if missing := sorted(set(wanted) - set(versions)):
            raise SetupError(f"pip reported success, but {missing[0]} is not in {packages}.")
        for name in LEFT:
            (self.new / name).unlink(missing_ok=True)
        shutil.rmtree(self.new / TEMPORARY, ignore_errors=True)
        return versions
