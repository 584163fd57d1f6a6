"""Tools that change files. Each shows the difference first, and each change can be taken back."""

import asyncio
import re
from typing import Annotated

from msgspec import Meta, Struct

from omni.core.errors import OmniError, UsageError
from omni.hands.changes import LARGEST, FileChange
from omni.hands.located_paths import LocatedPath
from omni.hands.surgeon.languages import language_of
from omni.hands.surgeon.syntax import problem_of
from omni.hands.tool import HandTool, Progress, ToolPlan, ToolResult
from omni.hands.workplace import Workplace

_BOM = b"\xef\xbb\xbf"
_BLANKS = re.compile(r"[ \t]+")


class WriteFile(Struct, frozen=True, kw_only=True):
    """Arguments of `write_file`."""

    path: Annotated[str, Meta(description="The file, from the folder of work.", min_length=1)]
    content: Annotated[str, Meta(description="All of its new content.")]


class EditFile(Struct, frozen=True, kw_only=True):
    """Arguments of `edit_file`."""

    path: Annotated[str, Meta(description="The file, from the folder of work.", min_length=1)]
    old: Annotated[
        str, Meta(description="The lines to replace, exactly as they stand there, and only once.", min_length=1)
    ]
    new: Annotated[str, Meta(description="What stands there instead.")]


def changing(tool: str, place: Workplace, where: LocatedPath, before: bytes | None, after: bytes) -> ToolPlan:
    """The plan of a change to one file. Raises UsageError where nothing would change, or the file would get too large."""
    name = place.named(where)
    if after == before:
        raise UsageError(f"{name} is like that already; nothing would change.")
    if len(after) > LARGEST:
        raise UsageError(f"{name} would get {len(after):,} bytes; tools write files of at most {LARGEST:,}.")
    change = FileChange(path=where.real, before=before, after=after)

    async def run() -> Progress:
        made = await asyncio.to_thread(
            place.changes.apply, change, place.project, agent=place.agent, conversation=place.conversation
        )
        verb = "created" if before is None else "changed"
        fault = await asyncio.to_thread(_fault, name, after)
        yield ToolResult(text=f"{name} is {verb}.{fault}", outcome=f"{verb}, change {made.id}")

    return ToolPlan(
        act=place.act(tool, "write", path=where.real),
        line=f"{'create' if before is None else 'change'} {name}",
        shown=change.diff(place.folder),
        run=run,
    )


def _write_file(arguments: WriteFile, place: Workplace) -> ToolPlan:
    where, before = place.read(arguments.path, "write_file")
    return changing("write_file", place, where, before, in_style_of(before, arguments.content))


def _edit_file(arguments: EditFile, place: Workplace) -> ToolPlan:
    where, before, text = place.text(arguments.path, "edit_file")
    newline = newline_of(text)
    old, new = (re.sub(r"\r\n?|\n", newline, part) for part in (arguments.old, arguments.new))
    start, end = _place_of(old, text, place.named(where))
    if old.endswith(newline) and not text[start:end].endswith(newline):
        new = new.removesuffix(newline)
    return changing("edit_file", place, where, before, (text[:start] + new + text[end:]).encode())


def _fault(name: str, after: bytes) -> str:
    """What does not parse in a source, for the brain to mend; "" where all does, or nobody can tell."""
    if (language := language_of(name, after)) is None:
        return ""
    try:
        problem = problem_of(after, language)
    except OmniError:  # without the feature, or for a source that is too large
        return ""
    return f" But it does not parse: {problem}." if problem else ""


def in_style_of(before: bytes | None, text: str) -> bytes:
    """A new content with the mark at the beginning and the newlines that the file had."""
    if before is None:
        return text.encode("utf-8", "replace")
    newline = newline_of(before.decode("utf-8", "replace"))
    content = re.sub(r"\r\n?|\n", newline, text).encode("utf-8", "replace")
    return _BOM + content if before.startswith(_BOM) and not content.startswith(_BOM) else content


def newline_of(text: str) -> str:
    """The newline that most lines of a text end with."""
    windows, all_of_them = text.count("\r\n"), text.count("\n")
    return "\r\n" if windows * 2 > all_of_them else "\n"


def _place_of(old: str, text: str, name: str) -> tuple[int, int]:
    """Where `old` stands: exactly, else line by line without regard to blanks. Raises UsageError where it stands nowhere, or more
    than once: then nobody can tell which is meant."""
    if (times := text.count(old)) == 1:
        start = text.index(old)
        return start, start + len(old)
    if times > 1:
        raise UsageError(f"These lines stand {times} times in {name}.", hint="Give more lines around them.")
    lines, wanted = text.splitlines(keepends=True), [_plain(line) for line in old.splitlines()]
    plain = [_plain(line) for line in lines]
    while wanted and not wanted[0]:
        wanted.pop(0)
    while wanted and not wanted[-1]:
        wanted.pop()
    places = [at for at in range(len(plain) - len(wanted) + 1) if wanted and plain[at : at + len(wanted)] == wanted]
    if len(places) != 1:
        what = f"stand {len(places)} times in" if places else "do not stand in"
        raise UsageError(f"These lines {what} {name}.", hint="Read the file again, and give them as they are there.")
    start = sum(map(len, lines[: places[0]]))
    return start, start + sum(map(len, lines[places[0] : places[0] + len(wanted)]))


def _plain(line: str) -> str:
    return _BLANKS.sub(" ", line.strip())


WRITE_FILE = HandTool(
    name="write_file",
    about="Write a whole file: a new one, or all of one that is there.",
    parameters=WriteFile,
    touches=("write",),
    plan=_write_file,
)
EDIT_FILE = HandTool(
    name="edit_file",
    about="Replace lines of a file by others.",
    parameters=EditFile,
    touches=("write",),
    plan=_edit_file,
)
