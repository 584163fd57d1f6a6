"""What an image would cost to decode, found out before anything decodes it."""

import asyncio
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from omni.core.errors import EngineError, UsageError
from omni.core.messages import Message
from omni.engine import image_of
from omni.engine.decodable import MOST_CHUNKS, MOST_SCANS, check_decodable
from omni.engine.http import WorkerClient
from omni.engine.images import MOST_SEGMENTS, measured
from tests.engine.conftest import Make
from tests.engine.engine_tools import events_of, scripted_spec
from tests.engine.test_seeing import showing
from tests.image_tools import GIF, JPEG, bmp, chunk, png

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def written(
    depth: int = 8, colour: int = 2, *, interlaced: int = 0, size: int, side: int = 9, pieces: int = 1
) -> bytes:
    """A picture with so many bytes of lines."""
    packed = zlib.compress(bytes(size))
    step = -(-len(packed) // pieces)
    body = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    head = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"tEXt", b"a\0b") + body + chunk(b"IEND", b"")


def refused(data: bytes) -> str:
    with pytest.raises(UsageError) as error:
        check_decodable(image_of(data))
    return error.value.message


@pytest.mark.parametrize(
    ("depth", "colour", "bits"), [(1, 0, 1), (2, 3, 2), (8, 3, 8), (8, 2, 24), (16, 4, 32), (16, 6, 64)]
)
def test_a_png_holds_as_much_as_its_header_tells(depth: int, colour: int, bits: int) -> None:
    size = (1 + -(-9 * bits // 8)) * 9
    check_decodable(image_of(written(depth, colour, size=size)))
    check_decodable(image_of(written(depth, colour, size=size, pieces=7)))
    assert "cut off" in refused(written(depth, colour, size=size - 1))
    assert "holds more" in refused(written(depth, colour, size=size + (1 << 20)))


def test_an_interlaced_png_is_counted_pass_by_pass() -> None:
    # by hand, of 9 x 9: 2 x 2, 1 x 2, 3 x 1, 2 x 3, 5 x 2, 4 x 5 and 9 x 4 pixels of 3 bytes, and a byte a line
    size = 3 * (4 + 2 + 3 + 6 + 10 + 20 + 36) + (2 + 2 + 1 + 3 + 2 + 5 + 4)
    check_decodable(image_of(written(interlaced=1, size=size)))
    assert "cut off" in refused(written(interlaced=1, size=size - 1))
    check_decodable(image_of(written(interlaced=1, size=10, side=1)[:-12]))  # passes without pixels have no lines


def test_a_small_file_that_becomes_gigabytes_is_read_no_further_than_its_size() -> None:
    packing = zlib.compressobj()
    packed = b"".join(packing.compress(bytes(1 << 20)) for _ in range(200)) + packing.flush()
    data = SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) + chunk(b"IDAT", packed)
    assert "holds more than the 8 × 8 pixels" in refused(data)


def broken() -> Iterator[tuple[bytes, str]]:
    whole, head = png(16, 16), struct.pack(">II", 9, 9)
    yield whole[:33], "cut off"
    yield whole[:28], "cut off"
    yield whole[:60], "cut off"
    yield whole[:33] + chunk(b"IEND", b""), "cut off"
    yield whole[:33] + chunk(b"IDAT", b"no zlib"), "broken"
    yield SIGNATURE + chunk(b"IHDR", head + b"\x03\x02\0\0\0"), "a form"
    yield SIGNATURE + chunk(b"IHDR", head + b"\x08\x05\0\0\0"), "a form"
    yield SIGNATURE + chunk(b"IHDR", head + b"\x08\x02\0\0\x02"), "a form"
    yield whole[:33] + chunk(b"tEXt", b"") * MOST_CHUNKS, "chunks"


@pytest.mark.parametrize(("data", "said"), list(broken()))
def test_broken_pngs_are_refused(data: bytes, said: str) -> None:
    assert said in refused(data)


def test_a_jpeg_has_few_scans_and_few_segments() -> None:
    for data in (JPEG, GIF, bmp()):
        check_decodable(image_of(data))
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0\0"
    check_decodable(image_of(JPEG + scan * (MOST_SCANS - 1)))
    assert "scans" in refused(JPEG + scan * MOST_SCANS)
    with pytest.raises(UsageError, match="segments"):
        measured(b"\xff\xd8" + b"\xff\xfe\0\x02" * MOST_SEGMENTS + JPEG[2:])
    assert measured(b"\xff\xd8" + b"\xff" * (1 << 24) + JPEG[3:]) == ("jpeg", 1, 1)


async def test_what_takes_too_much_is_not_sent_to_the_worker(worker_engine: Make) -> None:
    image = msgspec.structs.replace(image_of(png()), data=png()[:40])
    async with worker_engine(scripted_spec(projector="eyes.gguf")) as engine:
        with pytest.raises(UsageError, match="cut off"):
            await engine.count_tokens((Message.of("user", image, "What?"),))


async def test_only_one_request_is_decoded_though_its_client_has_left(
    worker_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    begun, decoded = asyncio.Event(), asyncio.Event()
    really = WorkerClient.json

    async def slow(client: WorkerClient, path: str, body: Any = None) -> Any:
        if isinstance(body, bytes):
            asked.append(path)
            begun.set()
            await decoded.wait()
        return await really(client, path, body)

    monkeypatch.setattr(WorkerClient, "json", slow)
    async with worker_engine(scripted_spec(projector="eyes.gguf")) as engine:
        leaving = asyncio.create_task(events_of(engine, showing("What?", png())))
        await begun.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        next_one = asyncio.create_task(events_of(engine, showing("And?", png())))
        for _ in range(50):  # time enough to ask what it asks before
            await engine.tokenize("x")
        assert len(asked) == 1
        decoded.set()
        assert await next_one
        assert len(asked) == 2


async def test_who_leaves_while_the_worker_decodes_for_the_answer_keeps_the_others_waiting(
    worker_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    begun, decoded = asyncio.Event(), asyncio.Event()
    really = WorkerClient.stream

    async def slow(client: WorkerClient, path: str, body: Any, kind: type[Any]) -> Any:
        asked.append(body)
        begun.set()
        await decoded.wait()
        async for part in really(client, path, body, kind):
            yield part

    monkeypatch.setattr(WorkerClient, "stream", slow)
    async with worker_engine(scripted_spec(projector="eyes.gguf")) as engine:
        leaving = asyncio.create_task(events_of(engine, showing("What?", png())))
        await begun.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        next_one = asyncio.create_task(engine.count_tokens(showing("And?", png()).messages))
        for _ in range(50):
            await engine.tokenize("x")
        assert not next_one.done()
        decoded.set()
        assert await next_one
        assert len(asked) == 1


async def test_an_engine_that_is_closed_waits_for_no_decoding(
    worker_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    really = WorkerClient.json

    async def never(client: WorkerClient, path: str, body: Any = None) -> Any:
        if isinstance(body, bytes):
            begun.set()
            await asyncio.Event().wait()
        return await really(client, path, body)

    monkeypatch.setattr(WorkerClient, "json", never)
    async with worker_engine(scripted_spec(projector="eyes.gguf")) as engine:
        asking = asyncio.create_task(engine.count_tokens(showing("What?", png()).messages))
        await begun.wait()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(("message", "kind"), [("Failed to load image", UsageError), ("Compute error.", EngineError)])
async def test_only_what_is_said_of_an_image_is_the_fault_of_the_image(
    worker_engine: Make, message: str, kind: type[Exception]
) -> None:
    refuse = {"/v1/chat/completions/input_tokens": {"code": 500, "type": "server_error", "message": message}}
    async with worker_engine(scripted_spec(projector="eyes.gguf", refuse=json.dumps(refuse))) as engine:
        with pytest.raises(kind):
            await engine.count_tokens(showing("What?", png()).messages)
