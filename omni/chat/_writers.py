"""Who is writing: each process that writes answers holds a lock, and a free lock means that its process is dead."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from omni.core.files import storage_error
from omni.core.locks import born_locked, locked


class WriterLock:
    """This process (or one of several in it), as the owner of answers that are being written.

    The lock is taken at the first answer, before its row is stored, and ends with the process however it dies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"

    def hold(self) -> None:
        """Take the lock, once."""
        if self._descriptor is not None:
            return
        path = self._folder / self.name
        try:
            self._descriptor = born_locked(path)
            for other in self._folder.iterdir():
                if not other.name.startswith("."):
                    self.alive(other.name)  # which removes what a dead one left
        except OSError as error:
            self.release()
            raise storage_error(path, error) from error

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self._descriptor is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._folder / self.name)
            os.close(self._descriptor)
            self._descriptor = None

    def alive(self, name: str) -> bool:
        """Whether the writer of this name still lives; asking removes what a dead one left behind."""
        if name == self.name:
            return self._descriptor is not None
        if not name or os.sep in name:
            return False
        path = self._folder / name
        try:  # shared: two who ask do not take each other for it
            with locked(path, wait=False, shared=True, make=False) as dead:
                if dead:
                    os.unlink(path)
                return not dead
        except FileNotFoundError:
            return False
