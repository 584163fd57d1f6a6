"""Turns what the finders saw into bases and entries: opens each file once, remembers what it was, leaves out doubles."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from omni.cartridges._adapters import misfit
from omni.cartridges._unreadable import why_unreadable
from omni.cartridges.brains import Base, licence_name
from omni.cartridges.gguf import GgufHeader, read_header, read_shapes
from omni.cartridges.index import IndexEntry
from omni.cartridges.inspection import Incomplete, Inspected, in_utf8, inspect, stamp
from omni.cartridges.projectors import look
from omni.cartridges.stores import ForeignModel
from omni.cartridges.templates import known_template, spare_template
from omni.core.errors import BadFile, OmniError

HeaderCache = dict[str, tuple[str, GgufHeader | str]]


class Scan:
    """One look around. `cache` is what earlier looks read; `fresh` is what this one had to read."""

    def __init__(self, cache: HeaderCache, *, own: Path, known: Iterable[str] = ()) -> None:
        self._cache, self._own = cache, own
        self._known = {inode for path in known if (inode := _inode(path))}
        self._seen: dict[tuple[int, int], str] = {}
        self._names: set[str] = set()
        self.fresh: HeaderCache = {}

    def run(self, finds: Iterable[ForeignModel]) -> list[tuple[Base | None, IndexEntry]]:
        """Bases and entries of everything that was found."""
        return [item for each in finds if (item := self._one(each)) is not None]

    def read(self, path: Path) -> GgufHeader:
        """The header of a file, from the cache while the file is the same. Raises as `read_header` does."""
        key, now = str(path), stamp(path)
        known = self.fresh.get(key) or self._cache.get(key)
        if known is None or known[0] != now:
            try:
                known = now, read_header(path)
            except BadFile as error:
                known = now, error.message
            self.fresh[key] = known
        if isinstance(known[1], str):
            raise BadFile(known[1], hint="Download or copy it again.")
        return known[1]

    def _one(self, find: ForeignModel) -> tuple[Base | None, IndexEntry] | None:
        if find.problem:
            return None, _problem(find, self._name(find), find.problem, find.reason, find.command)
        if self._is_double(find):
            return None
        name = self._name(find)
        if denied := why_unreadable(Path(find.path)):
            return None, _problem(find, name, "unreadable", denied.reason, denied.command)
        try:
            base = base_of(find, inspect(Path(find.path), self.read))
        except OSError as error:
            return None, _problem(find, name, "gone", f"{find.path} cannot be opened: {error.strerror}")
        except Incomplete as error:
            return None, _problem(find, name, "unloadable", f"{error.message} {error.hint}".rstrip("."))
        except BadFile as error:
            return None, _problem(find, name, "corrupt", error.message)
        except OmniError as error:
            return None, _problem(find, name, "gone", error.message)
        header = base.header
        if find.adapter and (problem := self._wrong_adapter(Path(find.adapter), header, Path(base.path))):
            return None, _problem(find, name, "unloadable", problem)
        entry = IndexEntry(
            name=name,
            kind="found",
            base=base.id,
            title=find.title or header.name,
            origin=find.origin,
            path=find.path,
            size=base.size,
            prompt=find.system,
            licence=find.licence or licence_name(header.licence),
            adapter=find.adapter,
            template=_template(find, header),
            parameters=find.parameters,
        )
        return base, entry

    def _wrong_adapter(self, path: Path, base: GgufHeader, model: Path) -> str:
        """What keeps an adapter of another program from being loaded with its base; "" when nothing does."""
        try:
            header = self.read(path)
        except (OmniError, OSError):
            return "its adapter is not in a form that this engine reads"
        if (header.kind, header.architecture) != ("adapter", base.architecture):
            return "its adapter was not made for this base"
        return misfit(read_shapes(path), model)

    def _is_double(self, find: ForeignModel) -> bool:
        """Whether another program's list, or ours, already has this very file. Ollama's users know all its names."""
        inode = _inode(find.path)
        if inode is None:
            return False
        if inode in self._known or Path(os.path.realpath(find.path)).is_relative_to(os.path.realpath(self._own)):
            return True
        first = self._seen.setdefault(inode, find.path)
        return find.origin != "ollama" and first != find.path

    def _name(self, find: ForeignModel) -> str:
        """The name, with a number where two different models have the same."""
        name = plain = in_utf8(find.name)
        number = 1
        while name in self._names:
            number += 1
            name = f"{plain} ({number})"
        self._names.add(name)
        return name


def base_of(find: ForeignModel, inspected: Inspected) -> Base:
    """The base of a file in place. What other programs say of one of its names is the entry's, not the base's."""
    projector, blind = look(find.projector, inspected.header) if find.projector else (None, "")
    return Base(
        id=f"sha256-{find.sha256}" if find.sha256 else inspected.id,
        path=inspected.parts[0],
        parts=inspected.parts,
        size=inspected.size,
        header=inspected.header,
        origin=find.origin,
        sha256=find.sha256,
        template=spare_template(inspected.header) or None,
        projector=projector,
        blind=blind,
    )


def _template(find: ForeignModel, header: GgufHeader) -> str:
    """Where the file carries no chat template that can be read, that of the family which its owner's text tells."""
    lacks = not header.chat_template or header.template_fault
    family = known_template(find.go_template) if find.go_template and lacks else None
    return family.jinja if family else ""


def _problem(find: ForeignModel, name: str, state: str, reason: str, command: str = "") -> IndexEntry:
    return msgspec.convert(
        {
            "name": name,
            "kind": "found",
            "origin": find.origin,
            "path": in_utf8(find.path),
            "state": state,
            "reason": reason,
            "command": command,
            "licence": find.licence,
            "title": find.title,
        },
        IndexEntry,
    )


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
