"""Files and images in a question: `@path` in what a person writes, a pasted path, and the project's AGENTS.md.

There is one rule for all front ends, `attachment_of`: UTF-8 text of a bearable size is a file, PNG, JPEG, GIF and BMP are
images. A path is one inside the project, links followed; an image may be named by its whole path, wherever it lies.
`@"a name"` takes spaces. A line that is nothing but the whole path of an image, as terminals write a file that is dropped
on them, means it, too. What stands in a code fence or in backticks is not looked at, and a word like `@someone` that names
no file stays a word.
"""

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import msgspec

from omni.chat.types import Attachment
from omni.core.errors import BadFile, NotFound, UsageError, nearest
from omni.core.messages import FilePart, ImagePart
from omni.core.paths import source_root

LARGEST = 256 << 10  # bytes of a text file
LARGEST_IMAGE = 20 << 20
LARGEST_TOGETHER = 1 << 20
IMAGES_TOGETHER = 64 << 20
LONGEST_PATH = 4096  # what the kernel takes
AGENTS_LARGEST = 32 << 10
_MENTION = re.compile(r"""(?<![\w@`/.])@(?:"(?P<double>[^"\n]+)"|'(?P<single>[^'\n]+)'|(?P<bare>[^\s"'`]+))""")
_DROPPED = re.compile(
    r"""^[ \t]*(?P<path>(?:file://)?(?:/|~/)\S(?:\\ |[^\s])*|'(?:file://)?[/~][^'\n]+'|"(?:file://)?[/~][^"\n]+")[ \t]*$""",
    re.MULTILINE,
)
_CODE = re.compile(r"(?P<fence>`{3,}|~{3,}).*?(?:(?P=fence)|\Z)|`[^`\n]*`", re.DOTALL)
_AFTER = ".,;:!?)]}>"


def expand(text: str, root: Path) -> tuple[str, list[Attachment]]:
    """The text as it is sent, and the files and images that it mentions, each once.

    A mention becomes the plain path. Reads files: call it off the event loop. Raises NotFound for a path that is clearly
    meant and not there, UsageError for one outside the project, a folder, or too much, and BadFile for what is neither text
    nor an image.
    """
    files: dict[str, Attachment] = {}

    def take(path: Path) -> str:
        file = read_file(path, root)
        file = files.setdefault(file.path, file)
        check_together(files.values())
        return file.path

    def dropped(match: re.Match[str]) -> str:
        path = Path(os.path.expanduser(_undressed(match["path"])))
        return take(path) if _is_image(path) else match[0]

    def mentioned(match: re.Match[str]) -> str:
        quoted = match["double"] or match["single"]
        named = _named(quoted or match["bare"], root, meant=quoted is not None)
        return take(named[0]) + named[1] if named is not None else match[0]

    text = _outside_code(_MENTION, mentioned, _outside_code(_DROPPED, dropped, text))
    return text, list(files.values())


def _outside_code(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str) -> str:
    code = [match.span() for match in _CODE.finditer(text)]

    def replaced(match: re.Match[str]) -> str:
        before = bisect_right(code, match.start(), key=itemgetter(0))
        return match[0] if before and match.start() < code[before - 1][1] else replace(match)

    return pattern.sub(replaced, text)


def read_image(path: Path) -> ImagePart:
    """The image that was named by itself, wherever it lies. Raises as `expand` does."""
    file = read_file(path.absolute(), path.absolute().parent)
    if not isinstance(file, ImagePart):
        raise BadFile(f"{printable(str(path))} is no image.", hint="PNG, JPEG, GIF and BMP are read.")
    return msgspec.structs.replace(file, path=printable(path.name))


def check_together(files: Iterable[Attachment]) -> None:
    """Raises UsageError for what is too much to go along with one question."""
    texts = images = 0
    for file in files:
        if isinstance(file, FilePart):
            texts += file.bytes
        elif isinstance(file, ImagePart):
            images += len(file.data)
    if texts > LARGEST_TOGETHER:
        raise UsageError(f"The attached files are more than {LARGEST_TOGETHER >> 10:,} KiB.", hint="Attach fewer.")
    if images > IMAGES_TOGETHER:
        raise UsageError(f"The attached images are more than {IMAGES_TOGETHER >> 20} MiB.", hint="Attach fewer.")


def attachment_of(data: bytes, name: str) -> Attachment:
    """A file of these bytes as it goes along with a question: text as a file, else an image. Raises UsageError for one
    that is too large or no brain can be shown, and BadFile for what is neither."""
    from omni.engine import image_kind, image_of

    try:
        text = _text(data, name)
    except BadFile:
        if not image_kind(data):
            raise
        if len(data) > LARGEST_IMAGE:
            raise UsageError(f"{name} is larger than {LARGEST_IMAGE >> 20} MiB.", hint="Make it smaller.") from None
        return image_of(data, path=name)
    if len(data) > LARGEST:
        raise UsageError(f"{name} is larger than {LARGEST >> 10} KiB.", hint="Attach a part of it.")
    return FilePart(path=name, bytes=len(data), lines=data.count(b"\n") + (not data.endswith(b"\n")), text=text)


def read_file(path: Path, root: Path) -> Attachment:
    """One text file inside `root`, or an image there or at its whole path. Raises as `expand` does."""
    whole, outside, inside = path.is_absolute(), False, _inside(path, root)
    name = printable(os.path.relpath(path if whole else root / path, root))
    if inside is None:
        if not (whole and _is_image(path)):
            raise UsageError(f"{name} is outside the project.", hint=f"Only files below {root} can be attached.")
        inside, name, outside = path.resolve(), printable(path.name), True
    try:
        with open_file(inside, os.O_NOFOLLOW) as opened:
            data = opened.read(LARGEST_IMAGE + 1)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {name}.", hint=_near(inside)) from error
    except IsADirectoryError as error:
        raise UsageError(f"{name} is a folder.", hint="Name a file in it.") from error
    except _NoFile as error:
        raise UsageError(f"{name} is no regular file.") from error
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}.") from error
    file = attachment_of(data, name)
    if outside and not isinstance(file, ImagePart):
        raise UsageError(f"{name} is outside the project.", hint=f"Only files below {root} can be attached.")
    return file


class _NoFile(OSError):
    """A pipe, a socket, a device."""


def open_file(path: Path, flags: int = 0) -> BinaryIO:
    """Open a regular file and wait for nobody. Raises OSError for what is none, too."""
    # O_NONBLOCK: a named pipe would wait for its writer. What was opened is what is looked at.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise IsADirectoryError(path) if stat.S_ISDIR(mode) else _NoFile(path)


def agents_md(root: Path) -> FilePart | None:
    """The nearest AGENTS.md from `root` upwards, as far as the repository, the home folder or the file system reach.

    Only a file of this user or of root is followed, so that nobody can leave instructions in `/tmp`. What is longer
    than 32 KiB is cut, and says so. The one of the clone that runs is for those who change Omni: whoever tries it there asks of
    something else, and a small brain would talk of nothing but these commands.
    """
    start = Path(os.path.abspath(root))
    home = Path(os.path.expanduser("~"))
    try:
        device = start.stat().st_dev
        for folder in (start, *start.parents):
            if folder.stat().st_dev != device:
                return None
            if (attachment := _agents(folder / "AGENTS.md")) is not None:
                return attachment if folder.resolve() != source_root() else None
            if folder == home or (folder / ".git").exists():
                return None
    except OSError:  # a folder that went away or cannot be entered has no instructions
        return None
    return None


def printable(name: str) -> str:
    """A name with all that does not print escaped: names may hold line breaks and bytes that are no text."""
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in name)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode()


def _agents(path: Path) -> FilePart | None:
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_uid not in (os.getuid(), 0):
                return None
            data = file.read(AGENTS_LARGEST + 1)
    except OSError:
        return None
    text = data[:AGENTS_LARGEST].decode("utf-8", "replace").replace("\0", "\ufffd")
    if len(data) > AGENTS_LARGEST:
        text += f"\n[{path.name} goes on; its first {AGENTS_LARGEST >> 10} KiB were read]"
    return FilePart(path=path.name, bytes=min(len(data), AGENTS_LARGEST), lines=text.count("\n") + 1, text=text)


def _named(name: str, root: Path, *, meant: bool) -> tuple[Path, str] | None:
    """The file that a mention names, as it names it, and what follows it, or None when it is only a word."""
    expanded = os.path.expanduser(name) if name.startswith("~/") else name
    if "\0" in expanded or len(expanded) > LONGEST_PATH:
        return None
    if meant:
        return Path(expanded), ""
    while True:
        if _exists(root / expanded):
            return Path(expanded), name[len(expanded) :]
        if not expanded or expanded[-1] not in _AFTER:  # `see @notes.md, please`
            break
        expanded = expanded[:-1]
    first = name.split("/", maxsplit=1)[0]
    if "/" in name and (first in ("", ".", "..", "~") or _exists(root / first)):
        return Path((os.path.expanduser(name) if first == "~" else name).rstrip(_AFTER)), ""
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists() and path.name != ""
    except OSError:  # a name too long, a folder that cannot be entered
        return False


def _is_image(path: Path) -> bool:
    from omni.engine import image_kind

    try:
        with open_file(path) as file:
            head = file.read(64)
        return bool(image_kind(head)) and (b"\0" in head or not head.isascii())  # a text may begin like one
    except (OSError, ValueError):  # not there, or no name of a file
        return False


def _undressed(path: str) -> str:
    """A path as terminals write one: in quotes, with spaces behind backslashes, or as an address."""
    path = path[1:-1] if path[0] in "'\"" else re.sub(r"\\(.)", r"\1", path)
    return unquote(path.removeprefix("file://")) if path.startswith("file://") else path


def _inside(path: Path, root: Path) -> Path | None:
    """The real path when it lies below the real root."""
    try:
        real, top = (root / path).resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a name that cannot be one
        raise BadFile(f"{printable(str(path))} cannot be followed: {error}.") from error
    return real if real == top or top in real.parents else None


def _near(path: Path) -> str:
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, 2000)]
    except OSError:
        return "Its folder is not there either."
    return printable(nearest(path.name, names))


def _text(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise BadFile(f"{name} is not a text file.", hint="Text can be attached, and images: PNG, JPEG, GIF, BMP.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"{name} is not UTF-8 text (byte {error.start}).", hint="Convert it first.") from error
