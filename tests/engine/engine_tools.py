"""Workers without a keeper, specs to load, and what tests ask and read."""

import asyncio
import json
import os
import random
import secrets
import signal
import struct
import subprocess
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from omni.core.errors import EngineError
from omni.core.events import EngineEvent, TextDelta, TurnEnded
from omni.core.messages import Message
from omni.core.paths import Home, python_command
from omni.engine import ChatRequest, Engine, Sampling
from omni.keeper import Fate, Loading, Ready, Waiting, WorkerSpec


def scripted_spec(**settings: int | str) -> WorkerSpec:
    """A worker without a model."""
    settings = {"slots": 4, "context": 512, "cells": 2048, **settings}
    return WorkerSpec(engine="scripted", base="scripted", path="", need_bytes=1 << 20, settings=settings)


def real_spec(gguf: Path, **settings: int | str) -> WorkerSpec:
    """The starter brain, small."""
    settings = {"slots": 4, "context": 2048, "cells": 2048, "threads": 2, **settings}
    return WorkerSpec(engine="xllamacpp", base="starter", path=str(gguf), need_bytes=1 << 29, settings=settings)


def asked(text: str, *, max_tokens: int = 16, **more: Any) -> ChatRequest:
    sampling = Sampling(temperature=0.0, seed=7, max_tokens=max_tokens)
    return ChatRequest(messages=(Message.of("user", text),), sampling=sampling, **more)


async def events_of(engine: Engine, request: ChatRequest) -> list[EngineEvent]:
    async with aclosing(engine.chat(request)) as events:
        return [event async for event in events]


async def collect(events: AsyncIterator[EngineEvent], take: Callable[[EngineEvent], object]) -> None:
    async for event in events:
        take(event)


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def end_of(events: list[EngineEvent]) -> TurnEnded:
    *_, last = events
    assert isinstance(last, TurnEnded)
    return last


class Worker:
    """One spawned worker process."""

    def __init__(self, home: Home, name: str, spec: WorkerSpec) -> None:
        sockets = home.ensure_sockets()
        home.logs.mkdir(parents=True, exist_ok=True)
        home.run.mkdir(parents=True, exist_ok=True)
        self.name, self.spec, self.key = name, spec, secrets.token_hex(16)
        self.socket, self.control = str(sockets / f"{name}.sock"), str(sockets / f"{name}.ctl")
        self.log = home.logs / f"worker-{name}.log"
        order = {
            "name": name,
            "spec": msgspec.to_builtins(spec),
            "key": self.key,
            "socket": self.socket,
            "control": self.control,
            "state": str(home.run / f"{name}.json"),
        }
        environment = {"PATH": os.environ["PATH"], "GOMP_SPINCOUNT": "1000", "OMNI_HOME": str(home.root)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                python_command("omni.engine.worker"),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode())
        self.process.stdin.close()
        self.facts: dict[str, Any] = {}
        self.stopped = ""
        self._dialling = asyncio.Lock()
        self._line: asyncio.StreamWriter | None = None
        self._answers: asyncio.StreamReader | None = None

    async def ready(self) -> None:
        """Dial its control socket and wait until it has loaded."""
        async with self._dialling:
            if self.facts.get("state") != "ready":
                await self._dial()

    async def _dial(self) -> None:
        while self._line is None:
            if self.process.poll() is not None:
                raise EngineError("The worker ended while it was loading.", hint=self.log.read_text("utf-8"))
            with suppress(OSError):
                self._answers, self._line = await asyncio.open_unix_connection(self.control)
                break
            await asyncio.sleep(0.005)
        assert self._answers is not None
        while True:
            line = b""
            with suppress(ConnectionError):  # it ended before it took the line up
                line = await self._answers.readline()
            if not line:
                self.process.wait()
                raise EngineError("The worker ended while it was loading.", hint=self.log.read_text("utf-8"))
            self.facts = json.loads(line)
            if self.facts["state"] == "ready":
                return

    async def order(self, name: str) -> dict[str, Any]:
        """Give an order and return the answer; an empty one when the worker ended instead."""
        assert self._line is not None
        assert self._answers is not None
        self._line.write(json.dumps({"order": name}).encode() + b"\n")
        line = await self._answers.readline()
        return dict(json.loads(line)) if line else {}

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
        if self.process.poll() is None:
            self.kill()


class Lease:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.worker, self.socket, self.key = worker.name, Path(worker.socket), worker.key

    async def states(self) -> AsyncIterator[Loading | Ready]:
        if self._worker.facts.get("state") != "ready":
            yield Loading(seconds=0.0)
            await self._worker.ready()
        yield Ready(worker=self.worker)

    def close(self) -> None:
        pass

    async def __aenter__(self) -> "Lease":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Turn:
    def __init__(self, keeper: "DirectKeeper", spec: WorkerSpec, tokens: int) -> None:
        self._keeper, self._spec, self.tokens = keeper, spec, tokens
        self.worker, self.socket, self.key = "", Path(), ""

    async def __aenter__(self) -> "Turn":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.turns.discard(self)
        self._keeper.given_back.set()

    async def waiting(self) -> AsyncIterator[Loading | Waiting]:
        worker = self._keeper.process(self._spec)
        if worker.facts.get("state") != "ready":
            yield Loading(seconds=0.0)
            await worker.ready()
        self.worker, self.socket, self.key = worker.name, Path(worker.socket), worker.key
        self._keeper.turns.add(self)


class DirectKeeper:
    """Spawns a worker a spec, and a new one when it died. Grants every turn at once and remembers them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.workers: dict[str, Worker] = {}
        self.started: list[Worker] = []
        self.turns: set[Turn] = set()
        self.given_back = asyncio.Event()

    def process(self, spec: WorkerSpec) -> Worker:
        worker = self.workers.get(spec.key)
        if worker is None or worker.process.poll() is not None:
            if worker is not None:
                worker.close()
            name = f"worker-{len(self.started) + 1}"
            worker = self.workers[spec.key] = Worker(self.home, name, spec)
            self.started.append(worker)
        return worker

    async def worker(self, spec: WorkerSpec) -> Lease:
        return Lease(self.process(spec))

    def turn(self, spec: WorkerSpec, *, priority: str = "interactive", tokens: int = 0) -> Turn:
        return Turn(self, spec, tokens)

    async def fate(self, socket: str) -> Fate | None:
        worker = next((worker for worker in self.started if worker.socket == socket), None)
        if worker is None:
            return None
        try:
            code = await asyncio.to_thread(worker.process.wait, 5)
        except subprocess.TimeoutExpired:
            return None
        return Fate(code=code, how="it ended", stopped=worker.stopped, log=worker.log.read_text("utf-8"))

    async def stop(self, name: str) -> None:
        worker = next(worker for worker in self.started if worker.name == name)
        worker.stopped = "it was stopped"
        worker.kill()

    async def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def write_adapter(path: Path, *, seed: int, of: str = "", layers: int = 30, width: int = 576, rank: int = 4) -> None:
    """A LoRA of random numbers on the queries of SmolLM2-135M, as a GGUF of llama.cpp's form; `of` is the base that it names."""
    dice = random.Random(seed)

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    facts = [
        text(key) + struct.pack("<I", 8) + text(value)
        for key, value in {
            "general.architecture": "llama",
            "general.type": "adapter",
            "adapter.type": "lora",
            **({"general.base_model.0.name": of} if of else {}),
        }.items()
    ]
    facts.append(text("adapter.lora.alpha") + struct.pack("<If", 6, float(rank)))
    tensors, data = [], b""
    for layer in range(layers):
        for name, shape in (("lora_a", (width, rank)), ("lora_b", (rank, width))):
            title = text(f"blk.{layer}.attn_q.weight.{name}")
            tensors.append(title + struct.pack("<IQQIQ", 2, *shape, 0, len(data)))
            data += array("f", [dice.uniform(-0.2, 0.2) for _ in range(width * rank)]).tobytes()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)) + b"".join(facts) + b"".join(tensors)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
