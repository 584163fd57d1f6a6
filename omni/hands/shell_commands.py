"""What a line for bash really does: every program that it runs, through whatever starts it, and every path that it names.

Each is an `Effect`; `omni/hands/consent.py` compares them with the rules. What starts another program as it is (`env`, `timeout`,
`xargs`, `find -exec`, `bash -c` …) is taken off; what could hide one in a way that is not known here has a `problem`.
"""

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from omni.hands.located_paths import locate, problems_below
from omni.hands.shell_grammar import RESERVED, Redirection, Scopes, SimpleCommand, Unclear, Word, read_script
from omni.hands.shell_programs import (
    GIT_PLAIN,
    KEEPS_THE_SHELL,
    PLAIN_VARIABLES,
    READ_BY_PROGRAMS,
    WRAPPERS,
    WRITERS,
    KnownProgram,
    base_name,
    heads,
    is_system_path,
    option_problem,
    program_of,
    runs_others,
    takes_value,
    word_problem,
)

FILLED_IN = "…"  # stands for what is known only when the command runs
_SHELLS = ("bash", "sh", "dash")
_SHELL_OPTIONS = re.compile(r"-[euxf]*c")
_SEPARATORS = re.compile(r"[\s;&|(){}`'\"!]+|\$\(")  # between commands inside a text
_MOST_NAMES = 200  # that a pattern may stand for
_DEEPEST = 8  # commands in commands
_NOWHERE = (os.devnull, "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty")
# Of sed: lines by number or by what is in them that are printed, removed or end it, and plain substitutions.
_LINE = r"(?:\d+|\$|/(?:[^/\\\n]|\\[^\n])*/)"
_SED = re.compile(
    rf"(?:[ \t]*(?:{_LINE}(?:,(?:{_LINE}|\+\d+))?)?[ \t]*"
    r"(?:[pdq=]|s([/|#,])(?:(?!\1)[^\\\n]|\\[^\n])*\1(?:(?!\1)[^\\\n]|\\[^\n])*\1[gpiI0-9]*)[ \t]*(?:;|\Z))+"
)


_BRACKETS = re.compile(r"\[\^?(?:\[:\w+:\]|[^][\\/|#,\n])+\]")  # without a delimiter


class Effect(NamedTuple):
    """One thing that a line does.

    `words` are those of a program that is run, in the form that rules are compared with, `path` is what is read or written, `text` what a
    person is shown. `free`: it only reads what its arguments name. `problem`: why a rule for what it begins with is not enough.
    `fixed`: its words are all known. `hidden`: what may be run beside it, as it is compared with rules that deny.
    `covered`: the rule for its program is enough to write there, if nothing is special about the path. `whole`: all below the path is
    read.
    """

    kind: Literal["run", "read", "write", "network", "unclear"]
    text: str
    words: tuple[str, ...] = ()
    path: str = ""
    host: str = ""
    free: bool = False
    fixed: bool = True
    covered: bool = False
    whole: bool = False
    problem: str = ""
    hidden: tuple[tuple[str, ...], ...] = ()


def effects(line: str, folder: str, project: str) -> list[Effect]:
    """All that a line does when it runs in a folder of a project, in the order in which it is written.

    Files are looked at where a pattern stands for their names, nothing is run. Raises FeatureMissing without the grammar.
    """
    looker = _EffectFinder(project)
    looker.line(line, _Folders(folder), ())
    return list(dict.fromkeys(looker.effects))


class _Folders:
    """In which folder each command runs; None where that is not known."""

    def __init__(self, folder: str | None) -> None:
        self._known: dict[Scopes, str | None] = {(): folder}

    def of(self, scopes: Scopes) -> str | None:
        """Where a command inside these scopes runs: as the nearest one around it that was met."""
        for count in range(len(scopes), -1, -1):
            if scopes[:count] in self._known:
                return self._known.setdefault(scopes, self._known[scopes[:count]])
        return None

    def change(self, scopes: Scopes, folder: str | None) -> None:
        """A command inside these scopes goes to another folder. What may have been passed over leaves those after it unknown."""
        self._known[scopes] = folder
        for count in range(len(scopes) - 1, -1, -1):
            kind = scopes[count][0]
            if kind == "child":
                return
            self._known[scopes[:count]] = None
            if kind == "unsure":
                self._known[scopes] = None


class _EffectFinder:
    """Collects effects."""

    def __init__(self, project: str) -> None:
        self.effects: list[Effect] = []
        self._project, self._depth = project, 0

    def line(self, line: str, folders: _Folders, scopes: Scopes) -> None:
        """A whole line, or one inside another."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._unclear(line, "too many commands are in each other")
        else:
            script = read_script(line, scopes=scopes)
            self.effects += [_unclear(each) for each in script.unclear]
            for command in script.commands:
                self._command(command, folders)
        self._depth -= 1

    def _unclear(self, text: str, reason: str) -> None:
        self.effects.append(_unclear(Unclear(text, reason)))

    def _command(self, command: SimpleCommand, folders: _Folders) -> None:
        folder = folders.of(command.scopes)
        exported = bool(command.words)
        for name, value in command.assignments:
            plain = name in PLAIN_VARIABLES or (
                not exported and re.fullmatch(r"[a-z][a-z0-9_]*", name) and not READ_BY_PROGRAMS.fullmatch(name)
            )
            if not plain:
                self._unclear(f"{name}={value.text}", f"{name} may change what programs do")
        for redirection in command.redirections:
            self._redirection(redirection, folder)
        words = self._spread(command.words, folder)
        if words:
            self._words(words, folders, command.scopes, in_shell=True)

    def _redirection(self, redirection: Redirection, folder: str | None) -> None:
        target, operator = redirection.target, redirection.operator
        text = f"{operator} {target.text}"
        if operator in (">&", "<&") and re.fullmatch(r"\d+-?|-", target.text) and target.known:
            return
        if not target.known or target.pattern:
            self._unclear(text, "which file that is, is known only when it runs")
        elif re.match(r"/dev/(tcp|udp)/", target.text):
            self.effects.append(Effect("network", text, host=target.text.split("/")[3]))
        elif target.text not in _NOWHERE:
            self._path("read" if operator in ("<", "<&") else "write", target.text, folder, text)

    def _path(
        self, kind: Literal["read", "write"], path: str, folder: str | None, text: str, *, covered: bool = False
    ) -> None:
        if folder is None and not path.startswith("/"):
            self._unclear(text, "in which folder it runs is not known")
        else:
            self.effects.append(Effect(kind, text, path=os.path.join(folder or "/", path), covered=covered))

    def _spread(self, words: Iterable[Word], folder: str | None) -> list[Word]:
        """The words with the names of files that patterns stand for now."""
        spread: list[Word] = []
        for word in words:
            names = _names(word.pattern, folder) if word.pattern else None
            if word.pattern and (names is None or not spread):
                spread.append(word._replace(known=False))
            elif names:
                spread += [Word(name) for name in names]
            else:
                spread.append(word)
        return spread

    # --- programs

    def _words(
        self, words: Sequence[Word], folders: _Folders, scopes: Scopes, *, in_shell: bool, walks: bool = False
    ) -> None:
        """A command by its words. `in_shell`: the shell itself would run it, so that `cd` changes the folder."""
        first, shown = words[0], " ".join(word.text if word.known else FILLED_IN for word in words)
        if not first.known or not first.text or ("=" in first.text and not first.text.startswith("=")):
            self._unclear(shown, "which program that is, is known only when it runs")
            self._hidden(words, shown)
            return
        name = base_name(first.text)
        own = "/" not in first.text or is_system_path(first.text)
        if own and name in WRAPPERS and (inner := _unwrapped(name, words[1:])) is not None:
            if inner.variables:
                self.effects += [_unclear(Unclear(one, "it may change what programs do")) for one in inner.variables]
            self._depth += 1
            if self._depth > _DEEPEST:
                self._unclear(shown, "too many commands are in each other")
            else:
                self._words(inner.words, folders, scopes, in_shell=in_shell and name in KEEPS_THE_SHELL, walks=walks)
            self._depth -= 1
        elif own and name == "command" and len(words) > 1 and words[1].text in ("-v", "-V"):
            self.effects.append(Effect("run", shown, ("type",), free=True))
        elif own and name in ("cd", "pushd", "popd", "chdir"):
            self._change_folder(words, folders, scopes, shown, in_shell=in_shell)
        elif own and name in _SHELLS and len(words) > 2 and _SHELL_OPTIONS.fullmatch(words[1].text) and words[2].known:
            self.line(words[2].text, _Folders(folders.of(scopes)), ())
        elif own and name == "eval" and len(words) > 1 and all(word.known for word in words):
            self.line(" ".join(word.text for word in words[1:]), folders, (*scopes, ("unsure", -self._depth)))
        else:
            self._program(words, folders.of(scopes), shown, walks=walks, own=own)
            if name == "find":
                self._find(words, folders, scopes)

    def _hidden(self, words: Sequence[Word], shown: str) -> None:
        """What may be run by something that is asked about anyway: if it is denied, so is this."""
        hidden = _beside(words)
        self.effects.append(Effect("unclear", shown, problem="what it runs is not judged", hidden=hidden))

    def _change_folder(
        self, words: Sequence[Word], folders: _Folders, scopes: Scopes, shown: str, *, in_shell: bool
    ) -> None:
        now = folders.of(scopes)
        to = (
            _folder(words[1].text, now, self._project)
            if len(words) == 2 and words[0].text == "cd" and words[1].known
            else None
        )
        unsure = any(kind == "unsure" for kind, _ in scopes)
        if to is None or not in_shell or unsure:
            folders.change(scopes, None)
            self._unclear(shown, "to which folder of the project it goes is not known")
        else:
            folders.change(scopes, to)
            self.effects.append(Effect("run", shown, ("cd",), free=True))

    def _program(self, words: Sequence[Word], folder: str | None, shown: str, *, walks: bool, own: bool) -> None:
        """A program that is run as it stands there."""
        texts = [word.text if word.known else FILLED_IN for word in words]
        known = heads(texts) if own else tuple(texts)
        fixed = all(word.known for word in words)
        program = program_of(known) if own else KnownProgram()
        problem = ""
        arguments = list(words[len(words) - len(known) + 1 :])
        if known[0] == "git" and len(known) < len(words):
            folder, problem = self._git_options(words[1 : len(words) - len(known) + 1], folder)
        if known[:2] == ("python", "-m"):
            arguments = arguments[2:]
        if known[0] == "find":
            arguments = _without_commands(arguments)
        before = len(self.effects)
        positional, why = self._arguments(program, arguments)
        problem = problem or why
        if known[0] == "sed":
            problem = problem or _sed_problem(arguments)
        if _is_filled_in(program, positional):
            problem = problem or "one of its arguments is known only when it runs"
        if folder is None and not (program.free and program.texts == -1):
            problem = problem or "in which folder it runs is not known"
        hidden: tuple[tuple[str, ...], ...] = ()
        if runs_others(known) or known[0] in RESERVED or not own:
            hidden = _beside(words)
        elif known[0] == "git" and problem:  # what is a subcommand, and what an option's value, is not told
            hidden = tuple(("git", *texts[at:]) for at in range(1, len(texts)))
        if known[0] == "git" and problem:
            known = ("git", *texts[1:])  # no rule for what git does without its options is one for this
        effect = Effect(
            "run", shown, known, free=program.free and not problem, fixed=fixed, problem=problem, hidden=hidden
        )
        self._named(known[0], program, positional if program.options is not None else arguments, folder)
        walked = walks or program.walks == "*" or any(_is_option(program.walks, word.text) for word in arguments)
        if walks and known[0] in WRITERS:
            effect = effect._replace(fixed=False, problem="which files it changes is known only when it runs")
        if walked and program.free and folder is not None:
            links = walks or known[0] == "diff"
            if why := self._below(positional[program.texts :], folder, links=links):
                effect = effect._replace(free=False, problem=problem or why)
        self.effects.insert(before, effect)

    def _arguments(self, program: KnownProgram, words: Sequence[Word]) -> tuple[list[Word], str]:
        """What of a program's arguments is no option and no option's value, and what is wrong with the others."""
        positional: list[Word] = []
        problem, rest = "", list(words)
        pattern_given = False
        while rest:
            word = rest.pop(0)
            if program.texts != -1 or program.strange:
                problem = problem or (word_problem(program, word.text) if word.known else "")
            if word.text == "--" and word.known:
                positional += rest
                problem = problem or next((why for one in rest if (why := word_problem(program, one.text))), "")
                break
            if not word.text.startswith("-") or word.text == "-" or not word.known:
                positional.append(word)
                continue
            problem = problem or option_problem(program, word.text)
            pattern_given |= bool(re.match(r"--regexp|--expression|-\w*e", word.text))
            if takes_value(program, word.text) and rest and not (value := rest.pop(0)).known:
                positional.append(value)  # what is filled in may be several words
        if program.most is not None and len(positional) > program.most:
            problem = problem or "it has more arguments than are judged"
        if program.texts > 0 and not pattern_given:
            # A text is no path. One that is filled in could be an option.
            positional[: program.texts] = [word if not word.known else Word("") for word in positional[: program.texts]]
        elif program.texts > 0:
            positional[:0] = [Word("")] * program.texts
        return positional, problem

    def _named(self, name: str, program: KnownProgram, words: Sequence[Word], folder: str | None) -> None:
        """The paths among the arguments."""
        if program.texts == -1:
            return
        for word in words:
            if not word.known or not word.text:
                continue
            if program.options is not None and name not in WRITERS:
                if word.text != "-":
                    self._path("read", word.text, folder, word.text)
                continue
            for path in _candidates(word.text):
                place = locate(path, folder or "/", self._project)
                if name in WRITERS or place is None or not place.inside or os.path.lexists(place.real):
                    self._path("write" if name in WRITERS else "read", path, folder, path, covered=name in WRITERS)

    def _below(self, words: Sequence[Word], folder: str, *, links: bool) -> str:
        """Why what is read as a whole is asked about; "" where it is not."""
        roots = [os.path.join(folder, word.text) for word in words if word.known] or [folder]
        self.effects += [Effect("read", root, path=root, whole=True) for root in roots]
        return next((why for root in roots for why in problems_below(root, self._project, links=links)), "")

    def _git_options(self, words: Sequence[Word], folder: str | None) -> tuple[str | None, str]:
        """Where git works after what stands before its subcommand, and what is wrong with that."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word.text == "-C" and rest and word.known:
                to = _folder(rest[0].text, folder, self._project) if rest[0].known else None
                if to is None:
                    return None, f"`-C {rest[0].text}` leads to no folder of the project"
                folder = to
                rest.pop(0)
            elif word.text not in GIT_PLAIN or not word.known:
                return folder, f"`{word.text}` before the subcommand may run, read or write something else"
        return folder, ""

    def _find(self, words: Sequence[Word], folders: _Folders, scopes: Scopes) -> None:
        """What `find` runs for each file."""
        roots = []
        for word in words[1:]:
            if word.text.startswith(("-", "(", "!")):
                break
            roots.append(word)
        for at, word in enumerate(words):
            if word.text in ("-exec", "-execdir", "-ok", "-okdir"):
                end = next((end for end in range(at + 1, len(words)) if _ends_command(words, end)), None)
                inner = list(words[at + 1 : end])
                if not inner or end is None or word.text in ("-execdir", "-okdir"):
                    self._unclear(" ".join(each.text for each in words[at:]), "in which folder it runs is not known")
                if any("{}" in each.text and each.text != "{}" for each in inner):
                    self._unclear(
                        " ".join(each.text for each in inner), "one of its arguments is known only when it runs"
                    )
                filled = [one for each in inner for one in ((roots or [Word(".")]) if each.text == "{}" else [each])]
                if filled:
                    self._words(filled, _Folders(folders.of(scopes)), (), in_shell=False, walks=True)


def _ends_command(words: Sequence[Word], at: int) -> bool:
    """Whether what `find` runs ends with this word: a `+` that does not follow `{}` is an argument."""
    return words[at].text == ";" or (words[at].text == "+" and words[at - 1].text == "{}")


def _without_commands(words: Sequence[Word]) -> list[Word]:
    """The words of `find` without what it runs, which is judged by itself, and without its brackets."""
    left: list[Word] = []
    inside = False
    for at, word in enumerate(words):
        if inside:
            inside = not _ends_command(words, at)
        elif word.text in ("-exec", "-execdir", "-ok", "-okdir"):
            inside = True
        elif word.text not in ("(", ")", "!", ","):
            left.append(word)
    return left


class _Unwrapped(NamedTuple):
    words: list[Word]
    variables: tuple[str, ...]


def _unwrapped(name: str, words: Sequence[Word]) -> _Unwrapped | None:
    """The command that one of the wrappers runs; None where it is used otherwise than is known here."""
    flags, valued, skipped = WRAPPERS[name]
    rest, variables = list(words), []
    while rest and rest[0].known and rest[0].text.startswith("-"):
        option = rest.pop(0).text
        if option == "--":
            break
        if option in valued.split():
            if not rest or not rest.pop(0).known:
                return None
        elif not (option in flags.split() or ("-#" in flags and option[1:].isdigit()) or _has_value(option, valued)):
            return None
    if name == "env":
        while rest and rest[0].known and re.match(r"[A-Za-z_]\w*=", rest[0].text):
            variable = rest.pop(0).text
            if variable.partition("=")[0] not in PLAIN_VARIABLES:
                variables.append(variable)
    for _ in range(skipped):
        if not rest or not rest.pop(0).known:
            return None
    if not rest:
        return None
    if name == "xargs":
        rest.append(Word(FILLED_IN, known=False))
    return _Unwrapped(rest, tuple(variables))


def _has_value(option: str, valued: str) -> bool:
    """Whether an option has its value in the same word."""
    names = valued.split()
    return option.partition("=")[0] in names if option.startswith("--") else len(option) > 2 and option[:2] in names


def _folder(path: str, folder: str | None, project: str) -> str | None:
    """The folder of the project that a path leads to, as both the shell and the kernel understand it; None for any other."""
    if folder is None or not path or path.startswith("-"):
        return None
    place = locate(path, folder, project)
    plain = os.path.normpath(os.path.join(folder, path))
    if place is None or not place.inside or not Path(place.real).is_dir() or os.path.realpath(folder) != folder:
        return None
    return place.real if place.real == plain else None


def _names(pattern: str, folder: str | None) -> list[str] | None:
    """The names that bash would find for a pattern, in its order; None for too many, or where that is not known."""
    if folder is None and not pattern.startswith("/"):
        return None
    bases = [("/" if pattern.startswith("/") else "", "/" if pattern.startswith("/") else folder or "/")]
    for part in pattern.strip("/").split("/"):
        step: list[tuple[str, str]] = []
        for shown, place in bases:
            if not re.search(r"[*?]", re.sub(r"\[.\]", "", part)):
                name = re.sub(r"\[(.)\]", r"\1", part)
                step.append((f"{shown}{name}/", os.path.join(place, name)))
                continue
            try:
                # Of the shells in use the older ones find `.` and `..`, too.
                names = [".", "..", *sorted(each.name for each in Path(place).iterdir())]
            except (OSError, ValueError):
                continue
            hidden = part.startswith((".", "[.]"))
            step += [
                (f"{shown}{name}/", os.path.join(place, name))
                for name in names
                if fnmatchcase(name, part) and (hidden or not name.startswith("."))
            ]
            if len(step) > _MOST_NAMES:
                return None
        bases = step
    return [shown.removesuffix("/") for shown, place in bases if os.path.lexists(place)]


def _is_filled_in(program: KnownProgram, words: Sequence[Word]) -> bool:
    """Whether an argument that is not known may be an option or a path. What comes after the first text of a program that takes texts
    only is neither."""
    if program.texts == -1 and (program.options is None or (words and words[0].known and not program.options)):
        return False
    return any(not word.known for word in words)


def _candidates(word: str) -> list[str]:
    """What in a word may be a path: all of it, and what stands after `=`, `:`, `,`, `@` or the letter of an option."""
    if re.match(r"[a-z+]+://", word):
        return [word.removeprefix("file://")] if word.startswith("file://") else []
    parts = [word, *re.split(r"[=:,@]", word)[1:]]
    if re.match(r"-[A-Za-z]", word) and re.search(r"/|\.\.", word):
        parts.append(word[2:])
    return [part for part in dict.fromkeys(parts) if part and not part.startswith("-")]


def _beside(words: Sequence[Word]) -> tuple[tuple[str, ...], ...]:
    """Every command that may begin at one of the words, or inside one: what is filled in there does not hide what stands before it."""
    inside = [part for word in words for part in _SEPARATORS.split(word.text) if part and part != word.text]
    texts = [word.text for word in words]
    return tuple(heads(part[at:]) for part in (texts, inside[:_MOST_NAMES]) for at in range(len(part)))


def _sed_problem(words: Sequence[Word]) -> str:
    """Why a script for sed is asked about; "" for what only prints, cuts and substitutes."""
    scripts: list[Word] = []
    rest, given = list(words), False
    while rest:
        word = rest.pop(0)
        if word.text in ("-e", "--expression") and rest:
            scripts.append(rest.pop(0))
            given = True
        elif word.text.startswith("--expression="):
            scripts.append(word._replace(text=word.text.partition("=")[2]))
            given = True
        elif word.text.startswith("-") and "e" in word.text.partition("=")[0] and not word.text.startswith("--"):
            return "what of it is a script is not judged"
        elif not word.text.startswith("-") and not given and not scripts:
            scripts.append(word)
    if not scripts or any(not each.known or not _only_prints(each.text) for each in scripts):
        return "its script may run or write something"
    return ""


def _only_prints(script: str) -> bool:
    """Whether a script for sed only prints, cuts and substitutes. Between brackets some versions of sed take a delimiter for a letter
    and others end the pattern there, which decides where the next command begins: such brackets are not judged."""
    return "[" not in _BRACKETS.sub("", script) and _SED.fullmatch(script) is not None


def _is_option(listed: str, word: str) -> bool:
    """Whether a word is one of these options, or has the letter of one among its own."""
    letters = [one[1] for one in listed.split() if len(one) == 2]
    short = word.startswith("-") and not word.startswith("--")
    return word in listed.split() or (short and any(letter in word[1:] for letter in letters))


def _unclear(unclear: Unclear) -> Effect:
    return Effect("unclear", unclear.text, problem=unclear.reason)
