"""Small images of every kind that is read here, and a projector with random weights: it lets the starter brain be shown
images, of which it understands nothing."""

import random
import struct
import zlib
from array import array
from base64 import b64decode
from pathlib import Path
from typing import Any

from omni.core.messages import Message, TextPart

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
JPEG = b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP////////////////////////////////////////////////////////////////////////////"
    "//////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)
WEBP = b64decode("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAgA0JaQAA3AA/vuUAAA=")
IMAGE_TOKENS = 16  # that the projector below makes of every image


def png(width: int = 8, height: int = 8, colour: tuple[int, int, int] = (200, 30, 60)) -> bytes:
    """A picture of one colour."""
    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claimed(width: int, height: int) -> bytes:
    """The beginning of a picture that says it is so large."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(40)


def bmp(width: int = 4, height: int = 4) -> bytes:
    """A picture without compression."""
    row = bytes((60, 30, 200)) * width
    data = (row + bytes(-len(row) % 4)) * height
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(data), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + head + data


def shown(message: Message) -> list[Any]:
    """What a message says and shows, in order: its texts, and of each image kind and width."""
    return [part.text if isinstance(part, TextPart) else (part.kind, part.width) for part in message.content]


def write_projector(path: Path, *, width: int = 576, **changes: Any) -> Path:
    """Eyes for a model of this width, of llama.cpp's kind "mlp": 64 x 64 pixels become 16 tokens. `changes` to the
    metadata are keys with `__` for dots; None leaves one out."""
    inside, size, patch = 16, 64, 16
    meta: dict[str, Any] = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        "clip.vision.image_size": size,
        "clip.vision.patch_size": patch,
        "clip.vision.embedding_length": inside,
        "clip.vision.feed_forward_length": inside,
        "clip.vision.block_count": 1,
        "clip.vision.projection_dim": width,
        "clip.vision.attention.head_count": 2,
        "clip.vision.attention.layer_norm_epsilon": 1e-6,
        "clip.vision.image_mean": [0.5, 0.5, 0.5],
        "clip.vision.image_std": [0.5, 0.5, 0.5],
    }
    meta |= {key.replace("__", "."): value for key, value in changes.items()}
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (patch, patch, 3, inside),
        "v.position_embd.weight": (inside, (size // patch) ** 2),
        "mm.0.weight": (inside, width),
        "mm.0.bias": (width,),
        "mm.2.weight": (width, width),
        "mm.2.bias": (width,),
    }
    for name in ("ln1", "ln2", "attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
        shapes[f"v.blk.0.{name}.weight"] = (inside,) if name.startswith("ln") else (inside, inside)
        shapes[f"v.blk.0.{name}.bias"] = (inside,)
    infos, data, dice = b"", b"", random.Random(7)
    for name, shape in shapes.items():
        infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        count = 1
        for length in shape:
            count *= length
        data += array("f", ((byte - 127.5) / 1000 for byte in dice.randbytes(count))).tobytes()
        data += bytes(-len(data) % 32)
    facts = b"".join(_text(key) + _value(value) for key, value in meta.items() if value is not None)
    head = (
        b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len([v for v in meta.values() if v is not None])) + facts + infos
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<IB", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
    return struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)
