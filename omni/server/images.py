"""Images in requests, whatever protocol brings them: taken out of base64, and looked at.

Nothing is fetched from an address: this process cannot, and a model's file server is nobody's proxy.
"""

import asyncio
import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from omni.core.errors import UsageError
from omni.core.messages import ImagePart
from omni.engine import image_of
from omni.schemas import apart
from omni.server.errors import BadParameter

if TYPE_CHECKING:
    from omni.cartridges import Brain

T = TypeVar("T")

DATA = re.compile(r"data:(?P<type>[\w.+-]*(?:/[\w.+-]*)?)(?P<more>(?:;[^,;]*)*),", re.IGNORECASE)
LONGEST = 500  # characters before the comma of a `data:` address
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


def image_at(brain: "Brain", url: str, where: str) -> ImagePart:
    """The image of a `data:` address; `where` in the request it stands. Raises BadParameter."""
    _check(brain, where)
    if (match := DATA.match(url, 0, LONGEST)) is None or not match["more"].lower().endswith(";base64"):
        what = "is fetched from no address" if re.match(r"\w+://", url[:LONGEST]) else "must be a `data:` address"
        raise BadParameter(
            f"An image {what}: Omni opens no connection for a request.",
            hint='Send the image itself: "data:image/png;base64,…".',
            param=where,
        )
    return image_in(brain, url[match.end() :], match["type"], where)


def image_in(brain: "Brain", data: str, media_type: str, where: str) -> ImagePart:
    """The same for base64; `media_type` is what the request calls it, "" when it says nothing. Raises BadParameter."""
    _check(brain, where)
    media_type = media_type.lower()
    try:
        decoded = bytes_of(data)
    except ValueError as error:
        raise BadParameter("The image is not in base64.", hint="Look whether it is whole.", param=where) from error
    try:
        image = image_of(decoded)
    except UsageError as error:
        raise BadParameter(error.message, hint=error.hint, param=where) from error
    if media_type not in _ANY and _TYPES.get(media_type) != image.kind:
        raise BadParameter(
            f"The image is called {media_type[:100]!r}, and its bytes are those of {image.kind.upper()}.",
            param=where,
        )
    return image


def bytes_of(data: str) -> bytes:
    """What base64 holds. Raises ValueError."""
    try:
        return b64decode(data.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def misplaced(brain: "Brain", where: str) -> BadParameter:
    """What is said of an image where none can be: to a brain that does not see, or in a text of its own."""
    if brain.vision:
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
    if bound:
        return await apart(make)
    return await asyncio.to_thread(make) if brain.vision else make()


def _check(brain: "Brain", where: str) -> None:
    if not brain.vision:
        raise misplaced(brain, where)
