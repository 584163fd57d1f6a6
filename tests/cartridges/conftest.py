"""A writer of small GGUF files, a web server, and a library of its own for every test."""

import hashlib
import os
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Library
from omni.cartridges.architectures import wants
from omni.core.paths import Home
from omni.core.settings import BrainsSettings, Settings
from omni.hardware import Budget
from tests.cartridges.pull_tools import Direct, Shop

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def value(item: Any) -> bytes:
    """One metadata value with its type."""
    match item:
        case bool():
            return struct.pack("<IB", 7, item)
        case int():
            return struct.pack("<IQ", 10, item) if item >= 1 << 32 else struct.pack("<II", 4, item)
        case float():
            return struct.pack("<If", 6, item)
        case str():
            return struct.pack("<I", 8) + text(item)
        case list() if item and isinstance(item[0], str):
            return struct.pack("<IIQ", 9, 8, len(item)) + b"".join(map(text, item))
        case list():
            return struct.pack("<IIQ", 9, 4, len(item)) + b"".join(struct.pack("<I", each) for each in item)
    raise TypeError(item)


Tensor = tuple[str, tuple[int, ...], int]
WIDTH, LAYERS = 256, 2


def tensors_of(architecture: str, *, ffn: int = 1, more: Sequence[Tensor] = ()) -> list[Tensor]:
    """What the engine wants of a file of this architecture, small; `ffn` rows make it as large as one likes."""
    wanted = wants(architecture) or wants("llama")
    assert wanted is not None
    kinds = {*wanted.needed}
    for each in ("attn_q", "attn_k", "attn_v", "ffn_up", "ffn_gate", "ffn_down"):
        if wanted.takes(f"blk.{each}.weight"):
            kinds.add(f"blk.{each}.weight")
    tensors: list[Tensor] = []
    for kind in sorted(kinds):
        names = [kind.replace("blk.", f"blk.{n}.", 1) for n in range(LAYERS)] if "blk." in kind else [kind]
        for name in names:
            rows = {"token_embd.weight": 3, "blk.0.ffn_up.weight": ffn}.get(name, 1)
            tensors.append((name, (8,), 0) if "norm" in name else (name, (WIDTH, rows), 12))
    return [*tensors, *more]


def meta_of(architecture: str) -> dict[str, Any]:
    """What the engine must know of it."""
    known: dict[str, int | float] = {
        "context_length": 2048,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": WIDTH,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }
    wanted = wants(architecture) or wants("llama")
    assert wanted is not None
    for key in wanted.keys:
        known.setdefault(key, 1e-5 if "epsilon" in key else 1)
    return {f"{architecture}.{key}": item for key, item in known.items()}


def gguf_bytes(
    values: dict[str, Any] | None = None,
    tensors: list[Tensor] | None = None,
    *,
    ffn: int = 1,
    more: Sequence[Tensor] = (),
    version: int = 3,
    salt: str = "",
    bare: bool = False,
    alone: bool = False,
    **changes: Any,
) -> bytes:
    """A whole GGUF file that a llama.cpp would load as far as its header goes (see `tensors_of`), or with `bare` all but
    its weights; `alone`: only `values` are its metadata. `changes` to the metadata are keys with `__` for dots; None
    leaves one out."""
    changes = {key.replace("__", "."): item for key, item in changes.items()}
    architecture = str((changes | (values or {})).get("general.architecture") or "llama")
    meta: dict[str, Any] = {
        "general.architecture": architecture,
        "general.name": "Tiny",
        "general.file_type": 15,
        "general.license": "apache-2.0",
        **meta_of(architecture),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["a", "b", "<s>"],
        "tokenizer.chat_template": TEMPLATE,
    }
    meta = (values or {}) if alone else meta | (values or {}) | changes
    if salt:
        meta["general.description"] = salt
    meta = {key: item for key, item in meta.items() if item is not None}
    shapes = tensors_of(architecture, ffn=ffn, more=more) if tensors is None else tensors
    sizes = {0: (1, 4), 1: (1, 2), 8: (32, 34), 12: (256, 144)}
    infos, offset, data = b"", 0, b""
    for name, shape, kind in shapes:
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        infos += struct.pack("<IQ", kind, offset)
        elements = 1
        for length in shape:
            elements *= length
        block, size = sizes.get(kind, (1, 1))
        length = elements // block * size
        if not bare:
            data += b"\7" * length + b"\0" * (-length % 32)
        offset += length + -length % 32
    head = b"GGUF" + struct.pack("<IQQ", version, len(shapes), len(meta))
    head += b"".join(text(key) + value(item) for key, item in meta.items()) + infos
    return head + b"\0" * (-len(head) % 32) + data


@pytest.fixture(scope="session")
def gguf() -> Callable[..., bytes]:
    return gguf_bytes


def split_bytes(count: int, *, more: Sequence[Tensor] = (), **options: Any) -> list[bytes]:
    """A model in `count` files, as llama.cpp's own program for splitting writes it."""
    tensors = tensors_of("llama")
    split = {"split.count": count, "split.tensors.count": len(tensors)}
    size = -(-len(tensors) // count)
    shares = [tensors[n * size : (n + 1) * size] for n in range(count)]
    shares[-1] = [*shares[-1], *more]
    first = gguf_bytes({"split.no": 0} | split, shares[0], **options)
    return [first, *(gguf_bytes({"split.no": n} | split, shares[n], alone=True) for n in range(1, count))]


@pytest.fixture(scope="session")
def parts() -> Callable[..., list[bytes]]:
    return split_bytes


@pytest.fixture
def write_gguf() -> Callable[..., Path]:
    def write(path: Path, *, sparse: int = 0, **options: Any) -> Path:
        """With `sparse` the weights are a hole of so many bytes, and a little more."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gguf_bytes(bare=bool(sparse), **options))
        if sparse:
            os.truncate(path, path.stat().st_size + sparse + (1 << 20))
        return path

    return write


class Web:
    """A server on the loopback. `files` are its content; `cut` ends an answer after so many bytes, once."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.cut: dict[str, int] = {}
        self.stall: dict[str, threading.Event] = {}
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                web.asked.append((path, self.headers.get("Range", "")))
                data = web.files.get(path)
                if data is None:
                    self.send_error(404)
                    return
                start, status = 0, 200
                if (wanted := self.headers.get("Range", "")).startswith("bytes="):
                    start, status = int(wanted[6:].rstrip("-")), 206
                self.send_response(status)
                self.send_header("Content-Type", web.types.get(path, "application/octet-stream"))
                self.send_header("Content-Length", str(len(data) - start))
                self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()[:12]}"')
                if status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                body = data[start:]
                if path in web.cut:
                    body = body[: web.cut.pop(path)]
                self.wfile.write(body[: len(body) // 2])
                if event := web.stall.get(path):
                    event.wait(20)
                self.wfile.write(body[len(body) // 2 :])

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        for event in self.stall.values():
            event.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


def budget(memory: int = 16 * 10**9, bandwidth: float | None = 30e9) -> Budget:
    return Budget(memory=memory, free=memory, context=16384, bandwidth=bandwidth, memory_class=16)


NOT_ASKED: Any = None  # an airlock to which nobody turns


@pytest.fixture
async def open_library(home: Home, tmp_path: Path) -> AsyncIterator[Callable[..., Library]]:
    """Makes libraries of this test's home, whose surroundings are empty folders."""
    opened: list[Library] = []

    def make(*, folders: tuple[str, ...] = (), memory: int = 16 * 10**9, **options: Any) -> Library:
        async def known() -> Budget:
            return budget(memory)

        user = tmp_path / "user"
        usual: dict[str, Any] = {"environment": {"HOME": str(user)}, "user": user, "budget": known}
        library = Library(home, Settings(brains=BrainsSettings(folders=list(folders))), **usual | options)
        opened.append(library)
        return library

    yield make
    for library in opened:
        await library.close()


@pytest.fixture
async def library(open_library: Callable[..., Library]) -> Library:
    return open_library()


@pytest.fixture
def drain() -> Callable[[AsyncIterator[Any]], Any]:
    async def collect(events: AsyncIterator[Any]) -> list[Any]:
        return [event async for event in events]

    return collect


@pytest.fixture
def shop(web: Any, tmp_path: Path, direct_airlock: Direct) -> Shop:
    (tmp_path / "shipped").mkdir()
    return Shop(web, tmp_path / "shipped", direct_airlock)
