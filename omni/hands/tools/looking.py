"""Tools that only look: a file, the files of a folder, where a text stands."""

import asyncio
import fnmatch
import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from omni.core.errors import NotFound, UsageError
from omni.hands.located_paths import SKIPPED, LocatedPath
from omni.hands.tool import HandTool, Progress, ToolPlan, ToolResult
from omni.hands.workplace import Workplace, decoded

MOST_LINES = 400
MOST_FILES = 500
MOST_MATCHES = 100
_LONGEST_LINE = 300  # characters of a line that is found
_LOOKED_AT = 50_000  # entries of a folder
_SECONDS = 20.0


class ReadFile(Struct, frozen=True, kw_only=True):
    """Arguments of `read_file`."""

    path: Annotated[str, Meta(description="The file, from the folder of work.")]
    first_line: Annotated[int, Meta(description="Where to begin, counted from 1.", ge=1)] = 1
    lines: Annotated[int, Meta(description="How many lines at most.", ge=1)] = MOST_LINES


class ListFiles(Struct, frozen=True, kw_only=True):
    """Arguments of `list_files`."""

    path: Annotated[str, Meta(description="The folder, from the folder of work.")] = "."
    pattern: Annotated[str, Meta(description="Only files like this, such as *.py or src/**/test_*.py.")] = ""


class SearchFiles(Struct, frozen=True, kw_only=True):
    """Arguments of `search`."""

    text: Annotated[str, Meta(description="The text, or the regular expression, in one line.", min_length=1)]
    path: Annotated[str, Meta(description="The file or folder to search.")] = "."
    regex: Annotated[bool, Meta(description="Whether `text` is an extended regular expression.")] = False


def _read_file(arguments: ReadFile, place: Workplace) -> ToolPlan:
    where = place.locate(arguments.path)

    def read() -> str:
        name = place.named(where)
        _, text = decoded(name, place.held(where), place.folder)
        lines = text.splitlines(keepends=True)
        begin = arguments.first_line - 1
        if lines and begin >= len(lines):
            raise UsageError(f"{name} has {len(lines)} lines, and line {arguments.first_line} was asked for.")
        shown = lines[begin : begin + min(arguments.lines, MOST_LINES)]
        whole = len(shown) == len(lines)
        mark = "" if whole else f"[lines {begin + 1} to {begin + len(shown)} of {len(lines)}]\n"
        return (mark + "".join(shown)) or "[the file is empty]"

    async def run() -> Progress:
        yield ToolResult(text=await asyncio.to_thread(read), outcome="read")

    return ToolPlan(act=place.act("read_file", "read", path=where.real), line=f"read {place.named(where)}", run=run)


def _list_files(arguments: ListFiles, place: Workplace) -> ToolPlan:
    where = place.locate(arguments.path)

    def listed() -> tuple[list[str], bool]:
        if not Path(where.real).is_dir():
            raise NotFound(f"There is no folder {place.named(where)}.")
        return _files_below(where, arguments.pattern)

    async def run() -> Progress:
        names, whole = await asyncio.to_thread(listed)
        names = [place.named_below(where, name) for name in names]
        more = [] if whole else [f"[… more than {len(names)} files; ask for a folder or a pattern]"]
        yield ToolResult(text="\n".join([*names, *more]) or "[no files]", outcome=f"{len(names)} files")

    return ToolPlan(act=place.act("list_files", "read", path=where.real), line=f"list {place.named(where)}", run=run)


def _search(arguments: SearchFiles, place: Workplace) -> ToolPlan:
    where = place.locate(arguments.path)
    if "\n" in arguments.text:
        raise UsageError("A search is for a text in one line.")
    if not Path(where.real).exists():
        raise NotFound(f"There is no {place.named(where)}.")
    command = _grep(arguments, where, place)

    async def run() -> Progress:
        # In the sandbox, since nobody can tell how long an expression takes; keys and passwords are not to be seen there.
        text, ended = await place.output(command, seconds=_SECONDS, most=400_000)
        if ended.limit == "time":
            raise UsageError(f"The search took more than {_SECONDS:.0f} s.", hint="SearchFiles a smaller folder.")
        if ended.code > 1:
            raise UsageError("The expression cannot be read.", hint="It is an extended regular expression, as grep -E.")
        lines = [_short(f"{path.removeprefix('./')}:{rest}") for path, rest in _found(text)]
        more = [f"[… more than {MOST_MATCHES} places]"] if len(lines) > MOST_MATCHES else []
        yield ToolResult(
            text="\n".join([*lines[:MOST_MATCHES], *more]) or "[nothing found]", outcome=f"{len(lines)} places"
        )

    line = f"search {place.named(where)} for {arguments.text!r}"
    return ToolPlan(act=place.act("search", "read", path=where.real), line=line, run=run)


def _grep(arguments: SearchFiles, where: LocatedPath, place: Workplace) -> list[str]:
    """Git's search where there is a repository, which knows what is ignored; else grep's. Paths end with a zero byte."""
    kind = "-E" if arguments.regex else "-F"
    path = os.path.relpath(where.real, place.folder)
    if Path(place.project, ".git").exists():
        git = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "grep", "--untracked", "--no-color"]
        return ["/usr/bin/env", *git, "-nIz", kind, "-e", arguments.text, "--", path]
    skipped = [f"--exclude-dir={name}" for name in sorted(SKIPPED)]
    return ["/usr/bin/env", "grep", "-rnIZ", kind, *skipped, "-e", arguments.text, "--", path]


def _found(text: str) -> list[tuple[str, str]]:
    """Path, and line number with line, of each place."""
    places = []
    for line in text.splitlines():
        path, _, rest = line.partition("\0")
        places.append((path, rest.replace("\0", ":", 1)))
    return places


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …"


def _files_below(where: LocatedPath, pattern: str) -> tuple[list[str], bool]:
    """Files below a folder by their paths from there, and whether these are all."""
    names: list[str] = []
    seen = 0
    for top, folders, files in os.walk(where.real):
        folders[:] = sorted(one for one in folders if one not in SKIPPED)
        for name in sorted(files):
            path = os.path.relpath(os.path.join(top, name), where.real)
            if not pattern or _matches(path, pattern):
                names.append(path)
        seen += len(files) + len(folders)
        if len(names) > MOST_FILES or seen > _LOOKED_AT:
            return names[:MOST_FILES], False
    return names, True


def _matches(path: str, pattern: str) -> bool:
    """Whether a path is like a pattern: one without `/` is for the name, `**/` stands for any folders and for none."""
    if "/" not in pattern:
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
    return any(fnmatch.fnmatchcase(path, one) for one in (pattern, pattern.replace("**/", "")))


READ_FILE = HandTool(
    name="read_file",
    about="Read a text file.",
    parameters=ReadFile,
    touches=("read",),
    plan=_read_file,
)
LIST_FILES = HandTool(
    name="list_files",
    about="List the files of a folder and of those below it.",
    parameters=ListFiles,
    touches=("read",),
    plan=_list_files,
)
SEARCH = HandTool(
    name="search",
    about="Find where a text stands in files: path, line number and line.",
    parameters=SearchFiles,
    touches=("read",),
    plan=_search,
)
