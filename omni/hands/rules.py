"""Rules: what may be done without being asked, what is asked about whatever else is said, and what is never done."""

import glob
import os
import re
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from omni.core.errors import UsageError
from omni.hands.acts import Verdict
from omni.hands.located_paths import LocatedPath
from omni.hands.shell_programs import base_name, heads, is_open

Scope = Literal["once", "conversation", "project", "always"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
NEVER_BARE = ("read", "write", "shell", "network")  # a rule for these says what it is about


class ConsentRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. It is about a `path`, a `command`, a `host`, or, without any, all that its tool does.

    `tool` is the name of a tool, or what tools touch: `read`, `write`, `shell`, `network`, `input`. A rule of a `project` holds there only.
    """

    verdict: Verdict
    tool: Annotated[str, Meta(min_length=1, max_length=80)]
    path: Annotated[str, Meta(description="A glob; what begins with no / counts from the project.")] = ""
    command: Annotated[tuple[str, ...], Meta(description="Words that a command begins with.")] = ()
    whole: Annotated[bool, Meta(description="Whether the command has these words only.")] = False
    host: Annotated[str, Meta(description="A host; *.example.org has all below it.")] = ""
    project: Annotated[str, Meta(description="The project's folder, without links; none: everywhere.")] = ""
    made: datetime
    by: str = "person"

    @property
    def is_bare(self) -> bool:
        """Whether it is about all that its tool does."""
        return not (self.path or self.command or self.host)

    @property
    def words(self) -> str:
        """What it is about, for people."""
        shown = " ".join(_quoted(word) for word in self.command)
        return (f"{shown} (these words only)" if self.whole else shown) or self.path or self.host or "everything"


def rule_of(
    verdict: Verdict, tool: str, pattern: str, *, project: str = "", made: datetime, by: str = "person"
) -> ConsentRule:
    """A rule as a person types it. Raises UsageError for one that says nothing, or would allow everything."""
    import shlex

    path, host = "", ""
    command: tuple[str, ...] = ()
    if tool == "shell":
        try:
            words = tuple(shlex.split(pattern))
        except ValueError as error:
            raise UsageError(f"{pattern!r} is no command: {str(error).lower()}.") from error
        command = heads(words)
    elif tool == "network":
        host = pattern.lower()
    else:
        path = os.path.expanduser(pattern)
    if not pattern.strip() and tool in NEVER_BARE:
        raise UsageError(
            f"A rule for {tool} says what it is about.", hint='As in: omni consent allow shell "git status"'
        )
    if verdict == "allow" and command and is_open(command) and len(command) == 1:
        raise UsageError(
            f"{command[0]} runs whatever it is told, so that this rule would allow everything.",
            hint=f'Write the whole command, as in: omni consent allow shell "{command[0]} …"',
        )
    whole = verdict == "allow" and bool(command) and is_open(command)
    return ConsentRule(
        verdict=verdict,
        tool=tool,
        path=path,
        command=command,
        whole=whole,
        host=host,
        project=project,
        made=made,
        by=by,
    )


def is_about(rule: ConsentRule, tool: str, touch: str, project: str) -> bool:
    """Whether a rule is about a tool that touches something in a project. One that would allow all reading, writing, running or
    sending is about nothing, however it came into the file."""
    everything = rule.verdict == "allow" and rule.is_bare and rule.tool in NEVER_BARE
    return rule.tool in (tool, touch) and rule.project in ("", project) and not everything


def allows_command(rule: ConsentRule, words: tuple[str, ...], *, whole: bool) -> bool:
    """Whether a rule is for a command; where it must be for the `whole` of it, one for what it begins with is not enough."""
    if not rule.command or words[: len(rule.command)] != rule.command:
        return False
    # A rule that was written by hand, and would allow everything, is one for its own words only.
    only = whole or rule.whole or is_open(rule.command)
    return not only or len(words) == len(rule.command)


def concerns_command(rule: ConsentRule, words: tuple[str, ...]) -> bool:
    """Whether a rule that asks or denies is for a command: by the words that are no options in their order, and options anywhere."""
    if not rule.command:
        return rule.is_bare
    wanted = [word for word in rule.command if not word.startswith("-")]
    options = _options(rule.command)
    for first in {words[0], base_name(words[0])}:  # a program in another folder may be a copy
        known = heads((first, *words[1:]))
        plain = [word for word in known if not word.startswith("-")]
        if plain[: len(wanted)] == wanted and options <= _options(known):
            return True
    return False


def is_for_path(rule: ConsentRule, place: LocatedPath, project: str, *, special: bool = False) -> bool:
    """Whether a rule is for a path. For a `special` one in the project it must name the very file, for one outside say a path."""
    if not rule.path:
        return rule.is_bare and not special
    parts = _pattern(rule, project)
    if special and place.inside:
        if re.search(r"[*?\[]", re.sub(r"\[[*?\[]\]", "", parts[-1])):
            return False
        if ".git" in place.real.lower().split("/") and ".git" not in "/".join(parts).lower().split("/"):
            return False
    return _matches(parts, place.real.split("/"))


def concerns_path(rule: ConsentRule, place: LocatedPath, project: str) -> bool:
    """Whether a rule that asks or denies is for a path: by its name, by a folder above it, and through links of the rule's own."""
    if not rule.path:
        return rule.is_bare
    parts = place.real.rstrip("/").split("/")
    patterns = (_pattern(rule, project), _followed(_pattern(rule, project)))
    return any(_matches(pattern, parts[:count]) for pattern in patterns for count in range(1, len(parts) + 1))


def concerns_below(rule: ConsentRule, place: LocatedPath, project: str) -> Verdict:
    """What a rule that asks or denies says of a folder that is read with all that is in it: `allow` where it is about nothing there."""
    if not rule.path:
        return "allow"
    pattern = _followed(_pattern(rule, project))
    literal = _literal(pattern)
    named, top = f"{'/'.join(literal)}/", f"{place.real.rstrip('/')}/"
    if len(literal) == len(pattern):
        return rule.verdict if named.startswith(top) and os.path.lexists(named.rstrip("/")) else "allow"
    return "ask" if named.startswith(top) or top.startswith(named) else "allow"


def is_for_host(rule: ConsentRule, host: str) -> bool:
    """Whether a rule is for a host."""
    host = host.lower().rstrip(".")
    if not rule.host:
        return rule.is_bare
    return host == rule.host or (rule.host.startswith("*.") and host.endswith(rule.host[1:]))


def _options(words: Sequence[str]) -> set[str]:
    """The options among words; letters that stand together (`-rf`) are several."""
    given = [word for word in words if word.startswith("-")]
    return {each for word in given for each in (_letters(word) if re.fullmatch(r"-[A-Za-z]{1,4}", word) else [word])}


def _letters(option: str) -> list[str]:
    return [f"-{letter}" for letter in option[1:]]


def _pattern(rule: ConsentRule, project: str) -> list[str]:
    """The parts of a rule's path, from the root on; without `..` and a slash at its end, which would make it be about nothing."""
    path = os.path.join(glob.escape(project.rstrip("/")), os.path.expanduser(rule.path))
    return f"/{os.path.normpath(path).strip('/')}".rstrip("/").split("/")


def _literal(pattern: Sequence[str]) -> list[str]:
    """The parts before the first that stands for several names, as they are written on disk."""
    plain = [re.sub(r"\[([*?\[])\]", r"\1", part) for part in pattern]
    several = (at for at, part in enumerate(pattern) if re.search(r"[*?\[]", re.sub(r"\[[*?\[]\]", "", part)))
    return plain[: next(several, len(pattern))]


def _followed(pattern: list[str]) -> list[str]:
    """A pattern without links, as far as it says one place."""
    literal = _literal(pattern)
    try:
        real = os.path.realpath("/".join(literal) or "/")
    except (OSError, ValueError):
        return pattern
    return [*glob.escape(real.rstrip("/")).split("/"), *pattern[len(literal) :]]


def _matches(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Part by part; `**` stands for any number of them. The time is bounded by the product of both lengths."""
    places = _with_skipped({0}, pattern)  # up to where the pattern may have come
    for part in parts:
        stay = {at for at in places if at < len(pattern) and pattern[at] == "**"}
        go = {at + 1 for at in places - stay if at < len(pattern) and fnmatchcase(part, pattern[at])}
        places = _with_skipped(stay | go, pattern)
    return len(pattern) in places


def _with_skipped(places: set[int], pattern: Sequence[str]) -> set[int]:
    for at in range(len(pattern)):
        if at in places and pattern[at] == "**":
            places.add(at + 1)
    return places


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
