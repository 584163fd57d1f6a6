"""Images in prompts: what kind they are and how large, read from their first bytes before anything decodes them.

The decoder is llama.cpp's (stb_image), in the worker: it takes PNG, JPEG, GIF (of which it shows the first picture), and
BMP. What a header claims is bounded here, because decoding takes memory by the pixel, and a small file may claim many.
"""

import re
import struct
from collections.abc import Iterable
from typing import Literal

from omni.core.errors import EngineError, UsageError
from omni.core.messages import ImagePart, Message

Kind = Literal["png", "jpeg", "gif", "bmp"]

MOST_PIXELS = 1 << 24  # of one image; a camera's picture of 12 megapixels is below
MOST_PIXELS_TOGETHER = 1 << 25
LONGEST_SIDE = 1 << 14
MOST_SEGMENTS = 4096  # of a JPEG before the one that tells its size
NARROWEST = 100  # times longer than wide: how brains cut images into tiles ends before that

_UNREAD = {  # what people send that no brain here can read, by its first bytes
    "WebP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "HEIC or AVIF": re.compile(rb"....ftyp", re.DOTALL),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
    "SVG": re.compile(rb"\s*<(?:\?xml|svg|!DOCTYPE)", re.IGNORECASE),
    "PDF": re.compile(rb"%PDF"),
}
_KNOWN = "PNG, JPEG, GIF and BMP are read."
_FRAMES = (0xC0, 0xC1, 0xC2)  # of JPEG: what tells the size; the kinds that stb_image decodes
_FILL = re.compile(rb"\xff+")
_SKIPPED = (0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))


class Blinding(EngineError):
    """A worker ended each time when it was shown the images of a request: the brain is better off without eyes."""


def image_of(data: bytes, *, path: str = "") -> ImagePart:
    """The image that `data` holds, of the file `path` where there is one.

    Raises UsageError when it is none that a brain can be shown: of an unknown kind, cut off, too large.
    """
    kind, width, height = measured(data)
    if not width or not height:
        raise UsageError(f"The image is {width} × {height} pixels large, which is nothing to look at.")
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise UsageError(
            f"The image is {width:,} × {height:,} pixels large; {MOST_PIXELS:,} in all and {LONGEST_SIDE:,} a side may be sent.",
            hint="Make it smaller: brains look at far fewer.",
        )
    if max(width, height) > NARROWEST * min(width, height):
        raise UsageError(
            f"The image is {width:,} × {height:,} pixels large, which is too narrow.", hint="Cut it into pieces."
        )
    return ImagePart(data=data, kind=kind, width=width, height=height, path=path)


def image_kind(data: bytes) -> str:
    """What kind of image a file begins like, the kinds that no brain here reads included; "" for what is none."""
    known = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8", "gif": b"GIF8", "bmp": b"BM"}
    for kind, first in known.items():
        if data.startswith(first):
            return kind
    return next((name for name, first in _UNREAD.items() if first.match(data)), "")


def measured(data: bytes) -> tuple[Kind, int, int]:
    """Kind, width and height as the header tells them. Raises UsageError."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            if data[8:16] != b"\0\0\0\rIHDR":
                raise _broken("PNG")
            return "png", *struct.unpack_from(">II", data, 16)
        if data.startswith(b"\xff\xd8"):
            return "jpeg", *_jpeg(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return "gif", *struct.unpack_from("<HH", data, 6)
        if data.startswith(b"BM"):
            return "bmp", *_bmp(data)
    except struct.error as error:
        raise UsageError("The image is cut off.", hint="Send the whole file.") from error
    named = next((name for name, first in _UNREAD.items() if first.match(data)), "")
    raise UsageError(
        f"Images of the kind {named} are not read here." if named else "This is no image that is known here.",
        hint=_KNOWN,
    )


def _jpeg(data: bytes) -> tuple[int, int]:
    """From marker to marker, as the decoder goes, to the one that tells the size."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        if (filled := _FILL.search(data, at)) is None:
            raise struct.error
        at = filled.end()
        (marker, length) = struct.unpack_from(">BH", data, at)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 4)
            return width, height
        if marker not in _SKIPPED or length < 2:
            raise _broken("JPEG")
        at += 1 + length
    raise UsageError(f"The JPEG image has more than {MOST_SEGMENTS:,} segments before its size.", hint="Save it anew.")


def _bmp(data: bytes) -> tuple[int, int]:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _broken(kind: str) -> UsageError:
    return UsageError(f"The image begins like a {kind} file and goes on like none that is read here.", hint=_KNOWN)


# -- images in messages


def check_images(messages: Iterable[Message], *, vision: bool, name: str) -> bool:
    """Whether there are images among `messages`. Raises UsageError where the brain `name` cannot see, and when they are
    too large together."""
    images = [image for message in messages for image in message.images]
    if not images:
        return False
    if not vision:
        raise UsageError(f"{name} cannot see: it reads text only.", hint="Leave out the images.")
    pixels = sum(image.width * image.height for image in images)
    if pixels > MOST_PIXELS_TOGETHER:
        raise UsageError(
            f"The images have {pixels:,} pixels together; {MOST_PIXELS_TOGETHER:,} may be sent.",
            hint="Send fewer, or smaller ones.",
        )
    return True
