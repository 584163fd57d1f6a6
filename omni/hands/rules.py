"""Rules: what may be done without being asked, what is asked about whatever else is said, and what is never done."""

import glob
import os
import re
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
    options = {word for word in rule.command if word.startswith("-")}
    for first in {words[0], base_name(words[0])}:  # a program in another folder may be a copy
        known = heads((first, *words[1:]))
        plain = [word for word in known if not word.startswith("-")]
        if plain[: len(wanted)] == wanted and options <= set(known):
            return True
    return False


def is_for_path(rule: ConsentRule, place: LocatedPath, project: str, *, special: bool = False) -> bool:
    """Whether a rule is for a path. For a `special` one in the project it must name the very file, for one outside say a path."""
    if not rule.path:
        return rule.is_bare and not special
    pattern = rule.path if rule.path.startswith("/") else os.path.join(glob.escape(project.rstrip("/")), rule.path)
    parts = pattern.split("/")
    if special and place.inside:
        if re.search(r"[*?\[]", re.sub(r"\[[*?\[]\]", "", parts[-1])):
            return False
        if ".git" in place.real.lower().split("/") and ".git" not in pattern.lower().split("/"):
            return False
    return _matches(parts, place.real.split("/"))


def is_for_host(rule: ConsentRule, host: str) -> bool:
    """Whether a rule is for a host."""
    host = host.lower().rstrip(".")
    if not rule.host:
        return rule.is_bare
    return host == rule.host or (rule.host.startswith("*.") and host.endswith(rule.host[1:]))


def _matches(pattern: list[str], parts: list[str]) -> bool:
    """Part by part; `**` stands for any number of them."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(pattern[1:], parts[at:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(pattern[1:], parts[1:])


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
