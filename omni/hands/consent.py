"""Who may do what: an act is judged by what it really touches, and the least friendly rule decides.

Reading inside the project is free; all else is asked about unless a rule allows it. This is not the boundary: the sandbox is. What
is allowed here still runs behind the walls.
"""

import glob
import os
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from omni.core.errors import OmniError, SetupError, UsageError
from omni.core.paths import Home
from omni.core.record import AuditRecord
from omni.hands.acts import ToolAct, Verdict, worst
from omni.hands.located_paths import is_within, locate, reading_problem, writing_problem
from omni.hands.rule_book import RuleBook
from omni.hands.rules import (
    SCOPES,
    ConsentRule,
    Scope,
    allows_command,
    concerns_below,
    concerns_command,
    concerns_path,
    is_about,
    is_for_host,
    is_for_path,
)
from omni.hands.shell_commands import Effect, effects
from omni.hands.shell_programs import DESTROYERS, DESTROYING_WORDS, REFUSED, SUBCOMMANDS, base_name, narrowest

_BECOMES = "becomes another user, which only you yourself do"
_NO_RULE = "no rule allows it"
_PLAIN = re.compile(r"[\w./+][\w./+-]{0,63}")  # a name, and no argument that may hold a secret
_NOTED, _NOTED_PARTS = 200, 40  # characters of a part in the record, and parts


class ActPart(Struct, frozen=True, kw_only=True):
    """One thing that an act does, and what is said of it. `rule` is what decided, None where no rule did.

    `kind` is `run`, `read`, `write`, `network`, `tool`, or `unclear` for what is not understood. `offered` is the narrowest rule that
    would allow it, None where none can. `destroys`: what it takes away may not come back. `place` is where a path leads. `noted` is
    what the record has of it: no arguments, which may hold a password.
    """

    kind: str
    text: str
    verdict: Verdict
    reason: str
    rule: ConsentRule | None = None
    offered: ConsentRule | None = None
    destroys: bool = False
    place: str = ""
    noted: str = ""


class Judgement(Struct, frozen=True, kw_only=True):
    """What is said of an act: `verdict` is the least friendly one of its parts, `reason` and `rule` are that part's.

    `answers` are what a person may be offered beside no: an act that destroys, or that is not understood, is allowed once only.
    """

    verdict: Verdict
    reason: str
    rule: ConsentRule | None
    parts: tuple[ActPart, ...]
    answers: tuple[Scope, ...] = ()


class ConsentJudge:
    """Judges the acts of one home, remembers what a person answered, and writes down both."""

    def __init__(self, home: Home, *, clock: Callable[[], float] = time.time) -> None:
        self.book = RuleBook(home)
        self.record = consent_record(home)
        self._home, self._clock = home, clock
        self._once: dict[ToolAct, set[tuple[str, ...]]] = {}  # with what was asked about: nothing else is allowed by it

    def judge(self, act: ToolAct) -> Judgement:
        """Say whether an act is allowed, asked about or denied. A dry run: nothing is done, changed or written down."""
        try:
            rules, broken = self.book.all(act.conversation), ""
        except OmniError as error:
            rules, broken = [], error.message
        parts = self._parts(act, rules)
        if _holds_home(_top(act)):
            reason = "it is your home, or holds it, and nothing in it is free"
            parts = [ActPart(kind="unclear", text="project", verdict="ask", reason=reason), *parts]
        if broken:
            parts = [
                ActPart(kind="unclear", text="rules", verdict="ask", reason=f"they cannot be read: {broken}"),
                *parts,
            ]
        if act in self._once:
            parts = [_once(part) if _asked(part) in self._once[act] else part for part in parts]
        verdict = worst(*(part.verdict for part in parts)) if parts else "ask"
        deciding = next((part for part in parts if part.verdict == verdict), None)
        return Judgement(
            verdict=verdict,
            reason=deciding.reason if deciding else "it does nothing that can be judged",
            rule=deciding.rule if deciding else None,
            parts=tuple(parts),
            answers=_answers(act, verdict, parts),
        )

    def enter(self, act: ToolAct) -> Judgement:
        """Judge an act that is about to be done, and write that down; an answer that was for once is used up.

        Raises OSError when it cannot be written: then it is not done.
        """
        judgement = self.judge(act)
        if judgement.verdict == "allow" and act in self._once:
            del self._once[act]
        self._note(act, judgement, "begins" if judgement.verdict == "allow" else "")
        return judgement

    def outcome(self, act: ToolAct, outcome: str) -> None:
        """Write down how an act ended, in a few words without contents (`exit 0`, `written`). Raises OSError."""
        self._note(act, None, outcome)

    def refuse(self, act: ToolAct) -> None:
        """Write down that the person said no. Raises OSError."""
        self._note(act, None, "refused")

    def grant(self, answer: Scope, act: ToolAct) -> tuple[ConsentRule, ...]:
        """Remember that the person allows an act: the narrowest rules that allow it, which are returned; none for once.

        Raises UsageError for an answer that is not offered, OSError or StorageError when it cannot be kept.
        """
        judgement = self.judge(act)
        if answer not in judgement.answers:
            offers = ", ".join(judgement.answers) or "nothing"
            raise UsageError(f"This may not be allowed for {answer!r}; offered is {offers}.", hint=judgement.reason)
        self._note(act, judgement, f"allowed: {answer}")
        if answer == "once":
            self._once[act] = {_asked(part) for part in judgement.parts}
            return ()
        where = _top(act) if answer == "project" else ""
        offered = [part.offered for part in judgement.parts if part.offered is not None]
        rules = tuple(replace(rule, project=where) for rule in dict.fromkeys(offered))
        if answer == "conversation":
            self.book.remember(act.conversation, *rules)
        else:
            self.book.keep(*rules)
        return rules

    # --- parts

    def _parts(self, act: ToolAct, rules: list[ConsentRule]) -> list[ActPart]:
        parts: list[ActPart] = []
        for touch in act.touches:
            if touch == "shell":
                parts += self._shell(act, rules)
            elif touch == "network":
                parts.append(self._host(act, act.host, act.host or "the network", rules))
            elif touch == "input":
                parts.append(self._tool(act, rules))
            elif act.path or not act.command:
                parts.append(self._path(act, Effect(touch, act.path or ".", path=act.path), rules))
        return parts or [self._tool(act, rules)]

    def _shell(self, act: ToolAct, rules: list[ConsentRule]) -> list[ActPart]:
        unclear = ActPart(kind="unclear", text=act.command, verdict="ask", reason="")
        folder = locate(".", act.folder, act.project)
        if folder is None or not folder.inside:
            return [replace(unclear, reason=f"{act.folder} is outside the project")]
        try:
            done = effects(act.command, folder.real, _top(act))
        except SetupError as error:
            return [replace(unclear, reason=f"{error.message} {error.hint}")]
        return [self._effect(act, effect, rules) for effect in done] or [replace(unclear, reason="it runs nothing")]

    def _effect(self, act: ToolAct, effect: Effect, rules: list[ConsentRule]) -> ActPart:
        if effect.kind in ("read", "write"):
            return self._path(act, effect, rules)
        if effect.kind == "network":
            return self._host(act, effect.host, effect.text, rules)
        part = ActPart(
            kind=effect.kind,
            text=effect.text,
            verdict="ask",
            reason=effect.problem or _NO_RULE,
            destroys=_destroys(effect.words),
            noted=_noted(effect.words),
        )
        own = [rule for rule in rules if is_about(rule, act.tool, "shell", _top(act))]
        commands = [words for words in (effect.words, *effect.hidden) if words]
        for words in commands:
            if (name := base_name(words[0])) in REFUSED:
                return replace(part, verdict="deny", reason=f"{name} {_BECOMES}")
        if decided := _against(part, own, lambda rule: any(concerns_command(rule, words) for words in commands)):
            return decided
        if effect.kind == "unclear":
            return part
        if effect.free:
            return replace(part, verdict="allow", reason="it only reads")
        if not effect.fixed and effect.problem:
            return part
        for rule in own:
            if rule.verdict == "allow" and allows_command(rule, effect.words, whole=bool(effect.problem)):
                return _by(part, rule)
        words, whole = (effect.words, True) if effect.problem else narrowest(effect.words)
        return replace(part, offered=self._rule("shell", command=words, whole=whole))

    def _path(self, act: ToolAct, effect: Effect, rules: list[ConsentRule]) -> ActPart:
        part = ActPart(kind=effect.kind, text=effect.text, verdict="ask", reason="where that path leads cannot be told")
        place, project, write = locate(effect.path, act.folder, act.project), _top(act), effect.kind == "write"
        if place is None:
            return part
        part = replace(part, place=place.real, noted=place.real)
        omnis = is_within(place, self._home.root)
        if write and omnis:
            return replace(part, verdict="deny", reason="what Omni keeps is not changed by what it runs")
        own = [rule for rule in rules if is_about(rule, act.tool, effect.kind, project)]
        if decided := _against(part, own, lambda rule: concerns_path(rule, place, project)):
            return decided
        below = [
            (rule, concerns_below(rule, place, project)) for rule in own if effect.whole and rule.verdict != "allow"
        ]
        if (verdict := worst(*(each for _, each in below))) != "allow":
            rule = next(rule for rule, each in below if each == verdict)
            return replace(part, verdict=verdict, reason="a rule is about what is below it", rule=rule)
        problem = writing_problem(place) if write else reading_problem(place)
        if omnis:
            problem = f"{place.real} is Omni's own"
        for rule in own:
            if rule.verdict == "allow" and is_for_path(rule, place, project, special=bool(problem)):
                return _by(part, rule)
        if not problem and not write:
            return replace(part, verdict="allow", reason="it is in the project")
        if not problem and effect.covered:
            return replace(part, verdict="allow", reason="it is in the project, and what changes it is judged")
        return replace(part, reason=problem or _NO_RULE, offered=self._rule(effect.kind, path=glob.escape(place.real)))

    def _host(self, act: ToolAct, host: str, text: str, rules: list[ConsentRule]) -> ActPart:
        part = ActPart(kind="network", text=text, verdict="ask", reason=_NO_RULE, noted=host)
        own = [rule for rule in rules if is_about(rule, act.tool, "network", _top(act))]
        if decided := _against(part, own, lambda rule: is_for_host(rule, host)):
            return decided
        for rule in own:
            if host and rule.verdict == "allow" and is_for_host(rule, host):
                return _by(part, rule)
        return replace(part, offered=self._rule("network", host=host.lower()) if host else None)

    def _tool(self, act: ToolAct, rules: list[ConsentRule]) -> ActPart:
        """What no path, command or host says more of."""
        part = ActPart(kind="tool", text=act.tool, verdict="ask", reason=_NO_RULE, noted=act.tool)
        own = [rule for rule in rules if is_about(rule, act.tool, "input", _top(act)) and rule.is_bare]
        if decided := _against(part, own, lambda _: True):
            return decided
        if own:
            return _by(part, own[0])
        return replace(part, offered=self._rule(act.tool))

    def _rule(
        self, tool: str, *, path: str = "", command: tuple[str, ...] = (), whole: bool = False, host: str = ""
    ) -> ConsentRule:
        made = datetime.fromtimestamp(int(self._clock()), UTC)
        return ConsentRule(verdict="allow", tool=tool, path=path, command=command, whole=whole, host=host, made=made)

    def _note(self, act: ToolAct, judgement: Judgement | None, outcome: str) -> None:
        now = self._clock()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        fields: dict[str, Any] = {
            "time": moment,
            "agent": act.agent[:64],
            "conversation": act.conversation[:64],
            "project": _top(act),
            "tool": act.tool[:64],
            "touches": " ".join(act.touches),
            "outcome": outcome[:96],
        }
        if judgement is not None:
            fields["verdict"] = judgement.verdict
            fields["parts"] = [
                f"{part.verdict} {part.kind} {part.noted}".strip()[:_NOTED] for part in judgement.parts[:_NOTED_PARTS]
            ]
        self.record.add(fields)


def consent_record(home: Home) -> AuditRecord:
    """The record of what was judged, answered and done."""
    return AuditRecord(home.audit, "consent")


def _against(part: ActPart, rules: Iterable[ConsentRule], concerns: Callable[[ConsentRule], bool]) -> ActPart | None:
    """What a rule that denies, or else one that asks, makes of a part; None where there is none."""
    own = [rule for rule in rules if rule.verdict != "allow" and concerns(rule)]
    if not own:
        return None
    rule = max(own, key=lambda each: each.verdict == "deny")
    reason = "a rule denies it" if rule.verdict == "deny" else "a rule says to ask each time"
    return replace(part, verdict=rule.verdict, reason=reason, rule=rule)


def _by(part: ActPart, rule: ConsentRule) -> ActPart:
    return replace(part, verdict="allow", reason="a rule allows it", rule=rule)


def _asked(part: ActPart) -> tuple[str, ...]:
    """What a person says yes to: a link that was put there meanwhile makes it another thing."""
    return part.kind, part.text, part.place


def _once(part: ActPart) -> ActPart:
    return replace(part, verdict="allow", reason="you allowed it once") if part.verdict == "ask" else part


def _answers(act: ToolAct, verdict: Verdict, parts: list[ActPart]) -> tuple[Scope, ...]:
    asked = [part for part in parts if part.verdict == "ask"]
    if verdict != "ask":
        return ()
    if any(part.offered is None or part.destroys for part in asked):
        return ("once",)
    return tuple(scope for scope in SCOPES if scope != "conversation" or act.conversation)


def _top(act: ToolAct) -> str:
    return os.path.realpath(act.project)


def _destroys(words: tuple[str, ...]) -> bool:
    return bool(words) and (words[0] in DESTROYERS or " ".join(words[:2]) in DESTROYING_WORDS)


def _noted(words: tuple[str, ...]) -> str:
    """The words that tell what a command does, without its arguments."""
    return " ".join(word for word in words[: SUBCOMMANDS.get(words[0], 1)] if _PLAIN.fullmatch(word)) if words else ""


def _holds_home(project: str) -> bool:
    home = os.path.realpath(os.path.expanduser("~"))
    return home == project or home.startswith(project.rstrip("/") + "/")
