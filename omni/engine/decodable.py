"""What decoding an image would cost, found out before a worker decodes it.

stb_image, the worker's decoder, inflates all that a PNG holds, whatever size its header tells, and goes over all of a
JPEG with each of its scans: two megabytes become gigabytes, or hours, and nobody can stop it. Blocking.
"""

import struct
import zlib
from collections.abc import Iterator

from omni.core.errors import UsageError
from omni.core.messages import ImagePart

MOST_SCANS = 100  # of a JPEG; programs write ten or so
MOST_CHUNKS = 1 << 16  # of a PNG
SLACK = 1 << 16  # bytes that a PNG may hold beyond its pixels
_BLOCK = 1 << 20
_PIECE = 1 << 16

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the kind of colour
_DEPTHS = (1, 2, 4, 8, 16)
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def check_decodable(image: ImagePart) -> None:
    """Raises UsageError for an image that is no whole one, or would take more memory or time than its size explains."""
    if image.kind == "png":
        _check_png(image)
    elif image.kind == "jpeg" and image.data.count(b"\xff\xda") > MOST_SCANS:
        raise UsageError(f"The JPEG image has more than {MOST_SCANS} scans.", hint="Save it anew.")


def _check_png(image: ImagePart) -> None:
    try:
        depth, colour, _, _, interlaced = struct.unpack_from("5B", image.data, 24)
    except struct.error as error:
        raise _cut() from error
    if depth not in _DEPTHS or colour not in _CHANNELS or interlaced > 1:
        raise UsageError("The PNG image has a form that is not known here.", hint="Save it anew.")
    size = sum(
        (1 + (depth * _CHANNELS[colour] * wide + 7) // 8) * high
        for wide, high in _passes(image.width, image.height, _ADAM7 if interlaced else _WHOLE)
    )
    inflating, inflated = zlib.decompressobj(), 0
    try:
        for packed in _packed(image.data):
            while packed and not inflating.eof:
                inflated += len(inflating.decompress(packed, _BLOCK))
                packed = memoryview(inflating.unconsumed_tail)
                if inflated > size + SLACK:
                    raise UsageError(
                        f"The PNG image holds more than the {image.width:,} × {image.height:,} pixels that it tells of.",
                        hint="Save it anew.",
                    )
        inflated += len(inflating.flush())  # a few bytes that waited for room
    except zlib.error as error:
        raise UsageError("The PNG image is broken.", hint="Look whether it is whole, or save it anew.") from error
    if inflated < size:
        raise _cut()


def _passes(width: int, height: int, passes: tuple[tuple[int, int, int, int], ...]) -> Iterator[tuple[int, int]]:
    """Width and height of the pictures that lines are written of, one after the other; empty ones are left out."""
    for left, top, across, down in passes:
        wide, high = -(-(width - left) // across), -(-(height - top) // down)
        if wide > 0 and high > 0:
            yield wide, high


def _packed(data: bytes) -> Iterator[memoryview]:
    """What a PNG's chunks hold of its pixels, in pieces that are small."""
    at, view = 8, memoryview(data)
    for _ in range(MOST_CHUNKS):
        if len(data) < at + 8:
            return  # cut off; whether something is missing shows when all is inflated
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        if kind == b"IDAT":
            end = min(at + 8 + length, len(data))
            for start in range(at + 8, end, _PIECE):
                yield view[start : min(start + _PIECE, end)]
        at += 12 + length
    raise UsageError(f"The PNG image has more than {MOST_CHUNKS:,} chunks.", hint="Save it anew.")


def _cut() -> UsageError:
    return UsageError("The PNG image is cut off.", hint="Send the whole file.")
