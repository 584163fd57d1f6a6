"""Keys for those who may use the server: shown once, kept as hashes, named, revocable, with scopes."""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from omni.core.errors import BadFile, NotFound, OmniError, UsageError, nearest
from omni.core.files import make_folder, storage_error, storing, write_atomic
from omni.core.locks import locked

Scope = Literal["chat", "admin"]

PREFIX = "omni-"
_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST = 1000


class Key(Struct, frozen=True, kw_only=True):
    """One key. `sha256` is of the whole key; `used` the last day on which it was used."""

    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: date
    used: date | None = None


class _KeyFile(Struct, frozen=True):
    keys: tuple[Key, ...] = ()


class ApiKeys:
    """The keys of one home. All methods read the file, so that a key that was revoked elsewhere holds no longer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], tuple[Key, ...]] | None = None

    def all(self) -> tuple[Key, ...]:
        """Every key, as they were made. Raises BadFile when the file is damaged: then nobody gets in by a key."""
        try:
            state = os.stat(self._path)  # noqa: PTH116 - called for each request with a key
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise storage_error(self._path, error) from error
        mark = (state.st_mtime_ns, state.st_size, state.st_ino)
        read = self._read  # once: other threads forget it
        if read is None or read[0] != mark:
            try:
                stored = msgspec.json.decode(self._path.read_bytes(), type=_KeyFile)
            except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
                hint = "Remove it and make new keys with `omni serve key add NAME`."
                raise BadFile(f"{self._path} cannot be read: {error}.", hint=hint) from error
            read = self._read = mark, stored.keys
        return read[1]

    def add(self, name: str, scopes: tuple[Scope, ...] = ("chat",)) -> str:
        """Make a key and return it: the only time that anybody sees it. Raises UsageError for a name that is taken."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name for a key.", hint="Letters, digits, dots and dashes, 64 at most.")
        if not scopes or not set(scopes) <= set(get_args(Scope)):
            raise UsageError(f"A key's scopes are {' and '.join(get_args(Scope))}.")
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise UsageError(f"There is a key named {name!r}.", hint=f"`omni serve key revoke {name}` ends it.")
            if len(keys) >= _MOST:
                raise UsageError(f"There are {_MOST} keys.", hint="`omni serve key revoke NAME` ends one.")
            secret = PREFIX + secrets.token_urlsafe(_BYTES)
            keys.append(Key(name=name, sha256=_hash(secret), scopes=scopes, created=_today()))
        return secret

    def revoke(self, name: str) -> None:
        """End a key. Raises NotFound."""
        with self._changing() as keys:
            names = [key.name for key in keys]
            if name not in names:
                raise NotFound(f"There is no key named {name!r}.", hint=nearest(name, names) or "`omni serve key ls`.")
            del keys[names.index(name)]

    def check(self, secret: str) -> Key | None:
        """The key that `secret` is, None when it is none; notes the day. Blocking."""
        wanted, match = _hash(secret), None
        for key in self.all():
            if hmac.compare_digest(key.sha256, wanted):
                match = key
        if match is not None and match.used != _today():
            self._note(match.name)
        return match

    def _note(self, name: str) -> None:
        """A key was used today. A disk that is full keeps nobody out."""
        try:
            with self._changing() as keys:
                for at, key in enumerate(keys):
                    if key.name == name:
                        keys[at] = msgspec.structs.replace(key, used=_today())
        except OmniError:
            pass

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys to be changed, while no other process changes them."""
        with storing(self._path):
            make_folder(self._path.parent)
        with locked(self._path.with_suffix(".lock")):
            self._read = None
            keys = list(self.all())
            yield keys
            write_atomic(self._path, msgspec.json.format(msgspec.json.encode(_KeyFile(tuple(keys)))))
            self._read = None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _today() -> date:
    return datetime.now(UTC).date()
