"""Images in requests, whatever protocol brings them: taken out of base64, looked at, and put where they stood in the text.

Nothing is fetched from an address: this process cannot, and a model's file server is nobody's proxy.
"""

import asyncio
import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from omni.core.errors import UsageError
from omni.engine import Image, Message, image_of
from omni.server.errors import BadParameter

if TYPE_CHECKING:
    from omni.cartridges import Brain

T = TypeVar("T")

_DATA = re.compile(r"data:(?P<type>[\w.+-]*(?:/[\w.+-]*)?)(?P<more>(?:;[^,;]*)*),", re.IGNORECASE)
_LONGEST = 500  # characters before the comma of a `data:` address
_TYPES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/pjpeg": "jpeg",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/x-bmp": "bmp",
    "image/x-ms-bmp": "bmp",
}
_ANY = ("", "image/*", "application/octet-stream")


class Parts:
    """A message as its parts are read: texts, with `between` after each, and images among them."""

    def __init__(self, brain: "Brain", *, between: str = "\n") -> None:
        self._brain, self._between = brain, between
        self._texts: list[str] = []
        self._length = 0  # of the texts, joined
        self._images: list[Image] = []

    def text(self, text: str) -> None:
        """A text comes next."""
        self._length += len(text) + (len(self._between) if self._texts else 0)
        self._texts.append(text)

    def address(self, url: str, where: str) -> None:
        """An image comes next, as a `data:` address. Raises BadParameter."""
        self._check(where)
        if (found := _DATA.match(url, 0, _LONGEST)) is None or not found["more"].lower().endswith(";base64"):
            what = "is fetched from no address" if re.match(r"\w+://", url[:_LONGEST]) else "must be a `data:` address"
            raise BadParameter(
                f"An image {what}: Omni opens no connection for a request.",
                hint='Send the image itself: "data:image/png;base64,…".',
                param=where,
            )
        self._add(url[found.end() :], found["type"].lower(), where)

    def base64(self, data: str, media_type: str, where: str) -> None:
        """An image comes next; `media_type` is what the request calls it, "" when it says nothing. Raises BadParameter."""
        self._check(where)
        self._add(data, media_type.lower(), where)

    @property
    def content(self) -> str:
        """The texts as one."""
        return self._between.join(self._texts)

    @property
    def images(self) -> tuple[Image, ...]:
        """The images, each with its place in `content`."""
        return tuple(self._images)

    def only_text(self, where: str) -> str:
        """The content of a message that shows nothing. Raises BadParameter."""
        if self._images:
            raise misplaced(self._brain, where)
        return self.content

    def _check(self, where: str) -> None:
        if not self._brain.sees:
            raise misplaced(self._brain, where)

    def _add(self, data: str, media_type: str, where: str) -> None:
        try:
            decoded = b64decode(data.encode("ascii").translate(None, b" \t\r\n"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadParameter("The image is not in base64.", hint="Look whether it is whole.", param=where) from error
        try:
            image = image_of(decoded, at=self._length)
        except UsageError as error:
            raise BadParameter(error.message, hint=error.hint, param=where) from error
        if media_type not in _ANY and _TYPES.get(media_type) != image.kind:
            raise BadParameter(
                f"The image is called {media_type[:100]!r}, and its bytes are those of {image.kind.upper()}.",
                param=where,
            )
        self._images.append(image)


def misplaced(brain: "Brain", where: str) -> BadParameter:
    """What is said of an image where none can be: to a brain that does not see, or in a text of its own."""
    if brain.sees:
        return BadParameter(
            "Images may stand in what a user says and in what a tool returns only.",
            hint="Send it as a user's message.",
            param=where,
        )
    why = brain.base.blind if brain.base is not None else ""
    hint = f"Leave out the image: {why}." if why else "Leave out the image."
    return BadParameter(f"{brain.name} cannot see: it reads text only.", hint=hint, param=where)


async def made(brain: "Brain", make: Callable[[], T], *, bound: bool = False) -> T:
    """What `make` makes of a request to `brain`: in a thread where it may have to look at images, which are large, or
    (`bound`) to compile schemas."""
    return await asyncio.to_thread(make) if brain.sees or bound else make()


def shown(role: str, parts: Parts, where: str) -> Message:
    """The message of a user or of a system that `parts` make. Raises BadParameter where images cannot stand."""
    if role == "user":
        return Message(role="user", content=parts.content, images=parts.images)
    return Message(role=role, content=parts.only_text(where))  # type: ignore[arg-type] # one of the engines'
