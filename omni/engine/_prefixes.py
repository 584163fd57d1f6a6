"""What a brain's own prompt becomes inside the engine, kept on disk: a new worker reads it back instead of computing it.

Only the cartridge's own text is kept, never a person's: the slot of a worker that nobody used yet reads that text alone,
is saved, and then gets the rest of the question. llama.cpp believes whatever lies in such a file, and a damaged one ends
its process; so the name of a file has the sum of its content, and is looked at before it is handed over.
"""

import asyncio
import hashlib
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from omni.core.errors import OmniError
from omni.core.events import PromptProgress
from omni.core.files import make_folder
from omni.engine._chunks import LlamaChunk, LlamaTimings
from omni.engine._infill import tokens_of
from omni.hardware import BaseFacts, kv_bytes
from omni.runtimes import BUILT_IN, built_in

if TYPE_CHECKING:
    from omni.engine._worker_requests import WorkerRequest
    from omni.engine.http import WorkerClient
    from omni.keeper import WorkerSpec

LEAST_TEXT = 1000  # characters: less is read in a moment
LEAST = 256  # tokens
BORDER = 4  # tokens before the end of the text, which may be other ones when something follows
MOST_KEPT = 200 << 20  # bytes of all that is kept
EIGHT_BITS = 34 / 64  # of what 32 numbers take at 16 bits
LEFT_BEHIND = 3600  # seconds after which nobody writes a file any more
_SUM = 32  # digits


class Laid(NamedTuple):
    """Where a fixed text is now: the number of a slot. `tokens` were read for it just now, in `seconds`."""

    slot: int
    tokens: int = 0
    seconds: float = 0.0


class Prefixes:
    """Those of the workers of one engine, in `folder`. `loaded` and what the `files` are at the moment tell all that makes the
    same tokens become something else: the base, how it is loaded, and its adapters. Of more than `most` tokens none is kept."""

    def __init__(self, folder: Path, loaded: Sequence[str], files: Sequence[str], most: int) -> None:
        self._folder, self._loaded, self._files, self._most = folder, tuple(loaded), tuple(files), most
        self._used_up: set[str] = set()  # sockets of workers that have no fresh slot left
        self._given: set[tuple[str, int]] = set()  # slots of workers that a turn has got, by socket and number
        self._tokens: dict[str, list[int]] = {}

    async def laid(
        self, client: "WorkerClient", asked: "WorkerRequest", seed: int
    ) -> AsyncGenerator[PromptProgress | Laid]:
        """Have a fresh slot know the fixed text of a request, from the disk or by computing it, which is told; the last is
        where it lies. Where no slot is fresh, or the text is short, nothing happens."""
        if len(asked.fixed) < LEAST_TEXT or client.socket in self._used_up:
            return
        slots = await client.json("/slots")
        fresh = [
            int(slot["id"])
            for slot in slots
            if not slot.get("is_processing")
            and "id_task" not in slot
            and (client.socket, int(slot["id"])) not in self._given
        ]
        if not fresh:
            self._used_up.add(client.socket)
            return
        if asked.goes_on and len(fresh) < len(slots):
            return  # its conversation may be in another slot
        tokens = await self._head(client, asked)
        if not LEAST <= len(tokens) <= self._most:
            return
        slot = next((each for each in fresh if (client.socket, each) not in self._given), None)
        if slot is None:  # other turns have got them meanwhile
            return
        self._given.add((client.socket, slot))
        build = str((await client.json("/props")).get("build_info", ""))
        key = await asyncio.to_thread(self._key, tokens, asked.lora, build)
        if (kept := await asyncio.to_thread(self._whole, key)) is not None:
            try:
                await client.json(f"/slots/{slot}?action=restore", {"filename": kept})
            except OmniError as error:
                logging.getLogger(__name__).warning("A brain's prompt is read anew: %s", error.message)
                with suppress(OSError):
                    (self._folder / kept).unlink()
            else:
                yield Laid(slot)
                return
        body = {
            "prompt": tokens,
            "n_predict": 0,
            "id_slot": slot,
            "cache_prompt": True,
            "stream": True,
            "return_progress": True,
            "seed": seed,
            "lora": asked.lora,
        }
        times = LlamaTimings()
        async with aclosing(client.stream("/completion", body, LlamaChunk)) as chunks:
            async for chunk in chunks:
                if (read := chunk.prompt_progress) is not None:
                    yield PromptProgress(done=read.processed, total=asked.tokens, cached=0)
                times = chunk.timings or times
        await self._save(client, slot, key, len(tokens))
        yield Laid(slot, times.prompt_n, times.prompt_ms / 1000)

    async def _head(self, client: "WorkerClient", asked: "WorkerRequest") -> list[int]:
        """The tokens of a prompt to the end of its fixed text; none where the template does not write it as it is."""
        prompt = await asked.prompt(client)
        if not isinstance(prompt, str) or (at := prompt.find(asked.fixed)) < 0:
            return []
        head = prompt[: at + len(asked.fixed)]
        name = _sum(head.encode())
        if name not in self._tokens:
            self._tokens = {name: (await tokens_of(client, head, special=True, beginning=True))[:-BORDER]}
        return self._tokens[name]

    def _key(self, tokens: Sequence[int], lora: Sequence[Mapping[str, Any]], build: str) -> str:
        """Blocking."""
        return _sum(msgspec.json.encode((self._loaded, [_file(path) for path in self._files], build, lora, tokens)))

    def _whole(self, key: str) -> str | None:
        """The name of the file for a key whose content is what its name says. Blocking."""
        for path in self._folder.glob(f"{key}-*.bin"):
            with suppress(OSError):
                with path.open("rb") as file:
                    total = hashlib.file_digest(file, "sha256").hexdigest()[:_SUM]
                if path.stem == f"{key}-{total}":
                    os.utime(path)  # so that what is used stays longest
                    return path.name
                logging.getLogger(__name__).warning("%s is damaged: a brain's prompt is read anew.", path.name)
                path.unlink()
        return None

    async def _save(self, client: "WorkerClient", slot: int, key: str, tokens: int) -> None:
        """Keep what a slot knows, if that is so many tokens. A failure costs time at the next start, and nothing now."""
        part = self._folder / f"{key}-{os.urandom(4).hex()}.part"
        try:
            await asyncio.to_thread(make_folder, self._folder)
            saved = await client.json(f"/slots/{slot}?action=save", {"filename": part.name})
            if saved.get("n_saved") == tokens:  # else the turn of another window was in that slot meanwhile
                await asyncio.to_thread(self._keep, part, key)
        except (OmniError, OSError) as error:
            logging.getLogger(__name__).warning("A brain's prompt could not be kept: %s", error)
        finally:  # kept it has another name
            with suppress(OSError):
                part.unlink()

    def _keep(self, part: Path, key: str) -> None:
        """Give a file its name, and let go of those that were not used for longest. Blocking."""
        if part.stat().st_size > MOST_KEPT:  # it would only push out the others
            return
        part.chmod(0o600)
        with part.open("rb") as file:
            total = hashlib.file_digest(file, "sha256").hexdigest()[:_SUM]
            os.fsync(file.fileno())
        part.replace(part.with_name(f"{key}-{total}.bin"))
        room, now = MOST_KEPT, time.time()
        for changed, size, path in sorted(_listed(self._folder), reverse=True):
            if path.suffix == ".part":  # somebody may be writing it
                if now - changed > LEFT_BEHIND:
                    path.unlink(missing_ok=True)
                continue
            room -= size
            if room < 0:
                path.unlink(missing_ok=True)


def prefixes_of(spec: "WorkerSpec", adapters: Sequence[str]) -> Prefixes | None:
    """Those of the workers with a spec; None where nothing is to be kept. An engine that sees saves no slots."""
    folder = str(spec.settings.get("prefixes", ""))
    # Builds that were added may call themselves alike, though they compute otherwise.
    if not folder or "projector" in spec.settings or spec.engine != BUILT_IN:
        return None
    loaded = (spec.engine, built_in().version, spec.base, str(spec.settings.get("cache", "")))
    most = int(spec.settings.get("prefix_tokens", 0)) or sys.maxsize
    return Prefixes(Path(folder), loaded, (spec.path, *adapters), most)


def most_tokens(facts: BaseFacts, cache: str) -> int:
    """The longest text of a base whose state may be kept; 0 where nobody knows how large that is. `cache` as the setting."""
    each = kv_bytes(facts, 1) * (EIGHT_BITS if cache == "q8_0" else 1.0)
    return int(MOST_KEPT / each) if each else 0


def _listed(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each file of a folder was last used, and its size; others may take one away meanwhile."""
    for path in folder.iterdir():
        with suppress(OSError):
            told = path.stat()
            yield told.st_mtime, told.st_size, path


def _file(path: str) -> str:
    """What tells a file from what it was, and from others."""
    try:
        told = Path(path).stat()
    except OSError:
        return path
    return f"{path} {told.st_size} {told.st_mtime_ns}"


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_SUM]
