"""Images by their headers, and their places in messages."""

import struct
from typing import Any

import pytest

from omni.core.errors import UsageError
from omni.core.messages import ImagePart, Message, ToolResultPart
from omni.engine import image_of
from omni.engine.answers import sent
from omni.engine.images import LONGEST_SIDE, MOST_PIXELS, check_images, measured
from tests.image_tools import GIF, JPEG, WEBP, bmp, claimed, png


@pytest.mark.parametrize(
    ("data", "kind", "width", "height"),
    [(png(7, 5), "png", 7, 5), (GIF, "gif", 1, 1), (JPEG, "jpeg", 1, 1), (bmp(6, 3), "bmp", 6, 3)],
)
def test_kind_and_size_are_read_from_the_header(data: bytes, kind: Any, width: int, height: int) -> None:
    assert measured(data) == (kind, width, height)
    expected = ImagePart(data=data, kind=kind, width=width, height=height, path="a file")
    assert image_of(data, path="a file") == expected


def test_sizes_of_unusual_forms_of_bmp_and_jpeg_are_read() -> None:
    assert measured(b"BM" + bytes(12) + struct.pack("<IHH", 12, 640, 480)) == ("bmp", 640, 480)
    assert measured(b"BM" + bytes(12) + struct.pack("<Iii", 40, 640, -480)) == ("bmp", 640, 480)
    filled = JPEG[:2] + b"\xff" * 5 + JPEG[3:]  # a marker may begin with many
    assert measured(filled) == ("jpeg", 1, 1)


def test_the_turn_that_a_camera_notes_is_not_read() -> None:
    wide = b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", 480, 640) + bytes(12)
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    noted = wide[:2] + b"\xff\xe1" + struct.pack(">H", len(turned) + 2) + turned + wide[2:]
    assert measured(wide) == measured(noted) == ("jpeg", 640, 480)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no image"),
        (b"hello, world", "no image"),
        (WEBP, "WebP"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"<svg xmlns=", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (png()[:20], "cut off"),
        (JPEG[:40], "cut off"),
        (b"\xff\xd8", "cut off"),
        (b"\xff\xd8\xff\xc3\0\x11", "JPEG"),
        (b"GIF89a\0", "cut off"),
        (b"BM", "cut off"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG"),
        (claimed(0, 5), "nothing to look at"),
        (claimed(20_000, 20_000), "20,000 × 20,000"),
        (claimed(LONGEST_SIDE + 1, 1000), "a side"),
        (claimed(4097, 4096), f"{MOST_PIXELS:,}"),
        (claimed(1, 101), "narrow"),
    ],
)
def test_what_no_brain_can_be_shown_is_refused_by_its_first_bytes(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        image_of(data)


def test_the_worker_is_sent_parts_in_their_order() -> None:
    [message] = sent([Message.of("user", "a", image_of(png()), "b", "", "c")])
    first, image, last = message["content"]
    assert (first, last) == ({"type": "text", "text": "a"}, {"type": "text", "text": "bc"})
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert sent([Message.of("user", "a", "b")]) == [{"role": "user", "content": "ab"}]
    [result] = sent([Message.of("tool", ToolResultPart.of("a", image_of(png()), call_id="1", name="look"))])
    assert result == {"role": "tool", "content": [first, image], "tool_call_id": "1", "name": "look"}


def test_images_are_too_large_together() -> None:
    large = image_of(claimed(4096, 4096))
    message = Message.of("user", large, large)
    assert check_images([message], vision=True, name="x")
    with pytest.raises(UsageError, match="together"):
        check_images([message, Message.of("tool", ToolResultPart.of(image_of(png())))], vision=True, name="x")
    with pytest.raises(UsageError, match="x cannot see"):
        check_images([message], vision=False, name="x")
    assert not check_images([Message.of("user", "")], vision=False, name="x")
