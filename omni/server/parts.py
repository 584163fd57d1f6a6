"""What a message of a request is made of, whatever protocol brings it: texts, images, and what no brain here reads.

A message that is new must be read as it is, or refused. One that was answered already is kept in the nearest words: a
program sends its history with each request, and one part that no brain here reads must not end the conversation.
"""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omni.core.messages import ImagePart, Message, Role, TextPart, ToolResultPart, text_of
from omni.engine import NOT_SEEN, NOT_SHOWN
from omni.server.errors import BadParameter
from omni.server.images import DATA, LONGEST, bytes_of, image_at, image_in, misplaced

if TYPE_CHECKING:
    from omni.cartridges import Brain

TEXTS = ("text", "input_text", "output_text")  # what protocols call a part that is text
NOT_HEARD = "[Sound was here, which you cannot hear.]"

_NOT_OPENED = "[The file {name} was here, which you cannot open.]"
_SILENT = ("type", "id", "status", "caller", "cache_control", "citations", "signature", "annotations", "index")
_BLOB = re.compile(r"(?:data:[\w/+.;=-]{0,200},)?[A-Za-z0-9+/_=-]{2000,}")
_DEEPEST = 32
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")


class MessageParts:
    """A message as its parts are read: texts, with `between` after each, and images among them. `happened`: it was
    answered already, so that what `brain` cannot read becomes words instead of an error."""

    def __init__(self, brain: "Brain", *, between: str = "\n", happened: bool = False) -> None:
        self._brain, self._between, self._happened = brain, between, happened
        self._begun = False  # a text was there
        self._content: list[TextPart | ImagePart] = []

    def text(self, text: str) -> None:
        """A text comes next."""
        self._content.append(TextPart(text=self._between + text if self._begun else text))
        self._begun = True

    def said(self, text: str | None, where: str) -> None:
        """A text comes next that may not be there. Raises BadParameter."""
        if text is None:
            self.instead("", BadParameter("A part that is text needs one.", param=where))
        else:
            self.text(text)

    def address(self, url: str, where: str) -> None:
        """An image comes next, as a `data:` address. Raises BadParameter."""
        try:
            self._content.append(image_at(self._brain, url, where))
        except BadParameter as error:
            fetched = url[:LONGEST] if re.match(r"\w+://", url[:LONGEST]) else ""
            self.instead(f"[An image was here, from {fetched}]" if fetched else self._unseen, error)

    def base64(self, data: str, media_type: str, where: str) -> None:
        """An image comes next; `media_type` is what the request calls it, "" when it says nothing. Raises BadParameter."""
        try:
            self._content.append(image_in(self._brain, data, media_type, where))
        except BadParameter as error:
            self.instead(self._unseen, error)

    def kept_image(self, where: str) -> None:
        """An image comes next that a cloud keeps, and nobody here. Raises BadParameter."""
        hint = "Send the image itself."
        self.instead(
            self._unseen, BadParameter("No files are kept here that an image could be.", hint=hint, param=where)
        )

    def sound(self, where: str) -> None:
        """Sound comes next. Raises BadParameter."""
        said = f"{self._brain.name} cannot hear: it reads text only."
        self.instead(NOT_HEARD, BadParameter(said, hint="Leave out the sound.", param=where))

    def file(self, where: str, *, name: str = "", data: str = "", media_type: str = "") -> None:
        """A file comes next: `data` in base64 or as a `data:` address; "" where a cloud keeps it. One that is text is read.
        Raises BadParameter."""
        if (text := text_in(data)) is not None:
            self.text(document(text, title=name))
            return
        called = f"the file {name}" if name else "files"
        kind = f" ({media_type})" if media_type else ""
        why = "it reads text only" if data else "no files are kept or fetched here"
        self.instead(
            _NOT_OPENED.format(name=name).replace("  ", " "),
            BadParameter(
                f"{self._brain.name} cannot open {called}{kind}: {why}.", hint="Send the text of it.", param=where
            ),
        )

    def other(self, kind: str, value: Any, where: str) -> None:
        """What is known to nobody here comes next; what was thought tells a brain nothing. Raises BadParameter."""
        if self._happened and kind in _THOUGHTS:
            return
        refused = BadParameter(f"Parts of the type {kind[:100]!r} are not known here.", param=f"{where}.type")
        self.instead(words_of({"type": kind, **value} if isinstance(value, dict) else value, silent=()), refused)

    def instead(self, words: str, refused: BadParameter) -> None:
        """`words` stand for a part of a message that was answered already; in one that is new, it is refused."""
        if not self._happened:
            raise refused
        self.text(words)

    @property
    def words(self) -> str:
        """The texts as one."""
        return text_of(self._content)

    def message(self, role: Role, where: str) -> Message:
        """The message of a user, a system or an assistant. Raises BadParameter where images cannot stand."""
        return Message.of(role, *(self._content if role == "user" else [self.only_text(where)]))

    def result(self, call_id: str, name: str = "", *, before: str = "") -> Message:
        """The message of the tool `name`, with `before` at its beginning."""
        return Message.of("tool", ToolResultPart.of(before, *self._content, call_id=call_id, name=name))

    def only_text(self, where: str) -> str:
        """The text of a message that shows nothing. Raises BadParameter."""
        images = len(self._content) - sum(isinstance(part, TextPart) for part in self._content)
        if images and not self._happened:
            raise misplaced(self._brain, where)
        return "\n".join([self.words, *[NOT_SHOWN] * images])

    @property
    def _unseen(self) -> str:
        return NOT_SHOWN if self._brain.vision else NOT_SEEN


def new_from(speaks: Sequence[bool]) -> int:
    """From which message on a history is new: behind the last that an assistant said, as `speaks` tells of each. Words at
    the very end are not answered but gone on with, and do not count."""
    last = len(speaks) - 1
    while last >= 0 and not speaks[last]:
        last -= 1
    return last + 1


def document(text: str, *, title: str = "", context: str = "", kind: str = "document", source: str = "") -> str:
    """A document as words."""
    head = "".join(f' {name}="{_quoted(value)}"' for name, value in (("title", title), ("source", source)) if value)
    inside = "\n\n".join(part for part in (context, text) if part)
    return f"<{kind}{head}>\n{inside}\n</{kind}>"


def text_in(data: str) -> str | None:
    """The text that a file in base64 holds; None where it is none."""
    match = DATA.match(data, 0, LONGEST)
    packed = data[match.end() :] if match else data
    if not packed:
        return None
    try:
        text = bytes_of(packed).decode("utf-8-sig")
    except ValueError:  # UnicodeDecodeError as well
        return None
    return None if "\0" in text or text.startswith("%PDF") else text


def words_of(value: Any, *, silent: Sequence[str] = _SILENT) -> str:
    """What another program's tools said, as words: texts as they are, the rest as JSON without what means nothing to a
    brain."""
    worded = _worded(value, silent, 0)
    if isinstance(worded, str):
        return worded
    if isinstance(worded, list) and all(isinstance(each, str) for each in worded):
        return "\n".join(worded)
    return json.dumps(worded, ensure_ascii=False)


def _worded(value: Any, silent: Sequence[str], level: int) -> Any:
    if isinstance(value, str):
        return f"[{len(value):,} characters of data]" if _BLOB.fullmatch(value) else value
    if level > _DEEPEST:
        return "[nested too deeply to be written]" if isinstance(value, dict | list) else value
    if isinstance(value, list):
        return [_worded(each, silent, level + 1) for each in value]
    if not isinstance(value, dict):
        return value
    text = value.get("text", value.get("logs"))
    if value.get("type") in (*TEXTS, "logs") and silent and isinstance(text, str):
        return text
    return {
        key: _worded(each, silent, level + 1)
        for key, each in value.items()
        if key not in silent and each is not None and not key.startswith("encrypted")
    }


def _quoted(value: str) -> str:
    return " ".join(value.replace('"', "'").split())
