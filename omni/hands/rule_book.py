"""Where rules lie: those for always and for a project in one file of the home, those for a conversation in memory.

No rule lies in a project: what is there may have been written by whom the rules are for, or come with a stranger's repository.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from omni.core.errors import BadFile, NotFound, StorageError
from omni.core.files import make_folder, storing, write_atomic
from omni.core.located.conversion import convert
from omni.core.located.json_reader import read_json
from omni.core.located.tree import FileSource
from omni.core.locks import locked
from omni.core.paths import Home
from omni.hands.rules import ConsentRule

FORMAT = 1  # the only one so far
_MOST = 1000
_HINT = (
    "Mend it, or move it away: until then everything is asked about, and what was denied stays so only if you say no."
)


class RuleFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`consent.json`."""

    format: Literal[1] = 1
    rules: tuple[ConsentRule, ...] = ()


class RuleBook:
    """The rules of a home. All methods read the file, so that a rule that was removed elsewhere holds no longer."""

    def __init__(self, home: Home) -> None:
        self._path, self._lock = home.consent, home.consent_lock
        self._conversations: dict[str, list[ConsentRule]] = {}

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def kept(self) -> tuple[ConsentRule, ...]:
        """The rules of the file, in its order. Raises BadFile for one that is damaged or of a later Omni: then nothing is allowed."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read: {error.strerror}.") from error
        source = FileSource(str(self._path), BadFile, _HINT)
        located = read_json(data, source)
        written = located.value.get("format") if isinstance(located.value, dict) else None
        if isinstance(written, int) and written > FORMAT:
            raise BadFile(
                f"{located.place(('format',))}: it is of a later Omni (format {written}), and is left alone.",
                hint="Use that Omni, or move the file away: until then everything is asked about.",
            )
        return convert(located, RuleFile).rules

    def all(self, conversation: str) -> list[ConsentRule]:
        """Those of the file and those of a conversation."""
        return [*self.kept(), *self._conversations.get(conversation, ())]

    def keep(self, *rules: ConsentRule) -> None:
        """Add rules to the file; one that is there in other words of verdict is replaced. Raises BadFile or StorageError."""
        with self._changing() as kept:
            for rule in rules:
                kept[:] = [each for each in kept if _about(each) != _about(rule)]
                kept.append(rule)
            if len(kept) > _MOST:
                raise BadFile(f"{self._path} has {_MOST} rules already.", hint="`omni consent rm N` removes one.")

    def remember(self, conversation: str, *rules: ConsentRule) -> None:
        """Add rules for a conversation, for as long as this process knows it."""
        self._conversations.setdefault(conversation, []).extend(rules)

    def remove(self, number: int) -> ConsentRule:
        """Take away the rule of that number, counted from 1 as they are listed. Raises NotFound."""
        with self._changing() as kept:
            if not 1 <= number <= len(kept):
                raise NotFound(f"There is no rule {number}.", hint="`omni consent ls` numbers them.")
            return kept.pop(number - 1)

    @contextmanager
    def _changing(self) -> Iterator[list[ConsentRule]]:
        """The rules to be changed, while no other process changes them."""
        with storing(self._path):
            make_folder(self._path.parent)
        with locked(self._lock):
            kept = list(self.kept())
            yield kept
            write_atomic(self._path, msgspec.json.format(msgspec.json.encode(RuleFile(rules=tuple(kept)))))


def _about(rule: ConsentRule) -> tuple[object, ...]:
    return (rule.tool, rule.path, rule.command, rule.whole, rule.host, rule.project)
