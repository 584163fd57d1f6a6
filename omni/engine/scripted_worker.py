"""A worker without a model: llama.cpp's HTTP protocol on a Unix socket, from the standard library, for tests.

It is chosen by `engine: "scripted"` in the worker's spec. Its settings beside the usual ones: `reply` (else it repeats
the question), `reasoning`, `token_ms` (time between tokens), `load_ms`, `load_error`, `endless` (never stops by
itself), `die_after` (ends its process after so many tokens of an answer: of any, or of those to a prompt with the words
`die_at` in it; by SIGKILL, or as one that is out of memory where `die_of` is "memory"), `hold` (a file: while it is
there no answer has more than `hold_after` tokens, and such an end waits for as many answers as `die_busy` says, and removes
it), `die_once` (a file: the process ends only where it is not there, and makes it; `bound_later` is what is said then), `refuse` (JSON: by path the error that it answers with; its `code` is the status), `fail` (JSON: an error, told in an
answer after `fail_after` tokens; in so many answers as `fail_times` says, else in all), `bound` (what it says where a
grammar is sent, one text a line in turn; without it, it cannot read any grammar and says nothing of that, as llama.cpp).
Tokens are words, and there are `VOCABULARY` of them.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

from omni.core.errors import BadFile
from omni.engine.protocol_server import ProtocolHandler, ProtocolServer, choice, common

Settings = dict[str, Any]
VOCABULARY = 1000
MOMENT = 0.005  # seconds between two looks at `hold`


class ScriptedServer(ProtocolServer):
    """Serves at once; `slots` requests are answered at a time, the others wait."""

    def __init__(self, socket: str, key: str, settings: Settings) -> None:
        self.settings = settings
        self.slots = [Slot(number) for number in range(int(settings.get("slots", 1)))]
        self.free = threading.Semaphore(len(self.slots))
        self.lock = threading.Lock()
        self.context = int(settings.get("context", 4096))
        self.adapters: list[str] = json.loads(settings.get("adapters", "[]"))
        self.refused: dict[str, dict[str, Any]] = json.loads(settings.get("refuse", "{}"))
        self.bound = str(settings["bound"]).splitlines() if "bound" in settings else []
        self.grammars: list[str] = []
        self.failures = repeat(True, int(settings["fail_times"])) if "fail_times" in settings else repeat(True)
        if "load_ms" in settings:
            time.sleep(int(settings["load_ms"]) / 1000)
        if "load_error" in settings:
            raise BadFile(str(settings["load_error"]))
        super().__init__(socket, key, _RequestHandler)


class Slot:
    """One place: what it answers, and the prompt it remembers."""

    def __init__(self, number: int) -> None:
        self.number, self.busy, self.seed = number, False, -1
        self.known: list[str] = []
        self.lora: list[float] = []

    def view(self, context: int) -> dict[str, Any]:
        """As `/slots` shows it."""
        return {
            "id": self.number,
            "n_ctx": context,
            "is_processing": self.busy,
            "params": {"seed": self.seed},
            "n_prompt_tokens": len(self.known),
        }


class _RequestHandler(ProtocolHandler):
    server: ScriptedServer
    posts: ClassVar[dict[str, str]] = {
        "/apply-template": "_apply_template",
        "/tokenize": "_tokenize",
        "/v1/chat/completions": "_chat",
        "/completion": "_complete",
        "/v1/chat/completions/input_tokens": "_input_tokens",
        "/v1/embeddings": "_embeddings",
        "/v1/rerank": "_rerank",
    }

    def told(self) -> Any:
        server = self.server
        with server.lock:
            answers: dict[str, Any] = {
                "/health": {"status": "ok"},
                "/props": {
                    "default_generation_settings": {"n_ctx": server.context},
                    "total_slots": len(server.slots),
                    "model_path": "scripted",
                    "chat_template": "<role> content",
                    "modalities": {"vision": "projector" in server.settings},
                },
                "/v1/models": {"data": [{"id": "scripted", "meta": {"n_vocab": VOCABULARY}}]},
                "/slots": [slot.view(server.context) for slot in server.slots],
                "/lora-adapters": [{"id": at, "path": path} for at, path in enumerate(server.adapters)],
            }
        return answers.get(self.path)

    def barred(self) -> bool:
        """Whether the script says that this path is refused, and how."""
        if (error := self.server.refused.get(self.path)) is None:
            return False
        self.answer({"error": error}, int(error["code"]))
        return True

    def _apply_template(self, body: dict[str, Any]) -> None:
        self.answer({"prompt": _prompt(body["messages"])})

    def _tokenize(self, body: dict[str, Any]) -> None:
        self.answer({"tokens": list(range(len(_words(body["content"]))))})

    def _input_tokens(self, body: dict[str, Any]) -> None:
        self.answer({"input_tokens": len(_words(_prompt(body["messages"])))})

    def _embeddings(self, body: dict[str, Any]) -> None:
        from hashlib import sha256

        if not self.server.settings.get("embeddings"):
            self.refuse(501, "This server does not support embeddings.", "not_supported_error")
            return
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [[byte / 255 for byte in sha256(text.encode()).digest()[:8]] for text in texts]
        data = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
        tokens = sum(len(_words(text)) for text in texts)
        self.answer({"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})

    def _rerank(self, body: dict[str, Any]) -> None:
        if self.server.settings.get("pooling") != "rank":
            self.refuse(501, "This server does not support reranking.", "not_supported_error")
            return
        wanted, results, tokens = set(_words(body["query"])), [], 0
        for at, text in enumerate(body["documents"]):
            results.append({"index": at, "relevance_score": float(len(wanted & set(_words(text))))})
            tokens += len(wanted) + len(_words(text))
        results.sort(key=lambda one: -one["relevance_score"])
        self.answer({"object": "list", "results": results, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})

    def _complete(self, body: dict[str, Any]) -> None:
        if not body.get("stream"):  # a try of one token: the likeliest one, unless a grammar forbids it
            self.answer({"content": self.server.bound[0][0] if self.server.bound and body.get("grammar") else ")"})
            return
        self._write_answer(body, [str(token) for token in body["prompt"]])

    def _chat(self, body: dict[str, Any]) -> None:
        self._write_answer(body, _words(_prompt(body["messages"])))

    def _write_answer(self, body: dict[str, Any], prompt: list[str]) -> None:
        if len(prompt) >= self.server.context:
            extra = {"n_prompt_tokens": len(prompt), "n_ctx": self.server.context}
            self.refuse(400, "the request exceeds the context", "exceed_context_size_error", extra)
            return
        with self.server.free:
            slot, cached = self._take(prompt, body)
            try:
                whole = self._write(body, prompt, cached)
            finally:
                with self.server.lock:
                    slot.busy = False
        if whole:  # only now: who reads the end may ask again at once, and finds this slot free
            self.end_stream(done="messages" in body)

    def _take(self, prompt: list[str], body: dict[str, Any]) -> tuple[Slot, int]:
        lora = [float(item["scale"]) for item in body.get("lora", [])]
        with self.server.lock:
            slot = max((slot for slot in self.server.slots if not slot.busy), key=lambda one: common(one.known, prompt))
            cached = common(slot.known, prompt[:-1]) if slot.lora == lora and body.get("cache_prompt", True) else 0
            slot.busy, slot.seed, slot.known, slot.lora = True, int(body.get("seed", -1)), prompt, lora
        return slot, cached

    def _write(self, body: dict[str, Any], prompt: list[str], cached: int) -> bool:
        """Send all of an answer but the end of its stream; False where it needs none."""
        settings, started = self.server.settings, time.perf_counter()
        self.begin_stream()
        if body.get("return_progress"):
            progress = {"total": len(prompt), "cache": cached, "processed": len(prompt), "time_ms": 1}
            self.send({"choices": [choice({"role": "assistant", "content": None})], "prompt_progress": progress})
        limit, count, reason = int(body.get("max_tokens") or 1 << 30), 0, "stop"
        for field, token in self._tokens(body):
            if count >= limit:
                reason = "length"
                break
            if self.left(int(settings.get("token_ms", 0)) / 1000):
                return False
            deadly = str(settings.get("die_at", "")) in " ".join(prompt) and not self._died()
            if count == int(settings.get("die_after", -1)) and deadly:
                self._die()
            while count == int(settings.get("hold_after", 0)) and self._held():
                if self.left(MOMENT):
                    return False
            if "fail" in settings and count == int(settings.get("fail_after", 0)) and next(self.server.failures, False):
                self.send({"error": json.loads(settings["fail"])})
                self.end_stream()
                return False
            chat = {"choices": [choice({field: token})]}
            self.send(chat if "messages" in body else {"index": 0, "content": token, "stop": False})
            count += 1
        spent = (time.perf_counter() - started) * 1000
        timings = {
            "cache_n": cached,
            "prompt_n": len(prompt) - cached,
            "prompt_ms": 1.0,
            "predicted_n": count,
            "predicted_ms": spent,
        }
        if "messages" in body:
            self.send({"choices": [choice({}, reason)]})
            self.send({"choices": [], "timings": timings})
        else:
            why = {"length": "limit", "stop": "eos"}[reason]
            self.send({"index": 0, "content": "", "stop": True, "stop_type": why, "timings": timings})
        return True

    def _tokens(self, body: dict[str, Any]) -> Any:
        settings = self.server.settings
        said = body.get("messages", [])
        question = next((_said(m["content"]) for m in reversed(said) if m["role"] == "user"), "")
        reply = str(settings.get("reply", f"You said: {question}"))
        if body.get("grammar") and (bound := self.server.bound):
            with self.server.lock:
                reply = bound[min(len(self.server.grammars), len(bound) - 1)]
                self.server.grammars.append(body["grammar"])
            reply = str(settings.get("bound_later", reply)) if self._died() else reply
        if said and said[-1]["role"] == "assistant":  # whose words are gone on with
            reply = reply.removeprefix(_said(said[-1]["content"]))
        for token in _words(str(settings.get("reasoning", ""))):
            yield "reasoning_content", token
        while True:
            for token in _words(reply):
                yield "content", token
            if not settings.get("endless"):
                return

    def _held(self) -> bool:
        return Path(str(self.server.settings.get("hold", os.devnull))).is_file()

    def _died(self) -> bool:
        """Whether a worker with these settings has ended already that ends once."""
        return Path(str(self.server.settings.get("die_once", os.devnull))).is_file()

    def _die(self) -> None:
        settings, memory = self.server.settings, self.server.settings.get("die_of") == "memory"
        if memory:
            sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'\n")
            sys.stderr.flush()
        if self._held():
            while sum(slot.busy for slot in self.server.slots) < int(settings["die_busy"]):
                time.sleep(MOMENT)
            Path(str(settings["hold"])).unlink()
        if "die_once" in settings:
            Path(str(settings["die_once"])).touch()
        if memory:
            os.abort()
        os.kill(os.getpid(), signal.SIGKILL)


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+\Z", text)


def _prompt(messages: list[dict[str, Any]]) -> str:
    """The last message of an assistant stands where the answer would begin."""
    said = [f"<{message['role']}> {_said(message['content'])}" for message in messages]
    if messages and messages[-1]["role"] == "assistant":
        said[-1] = _said(messages[-1]["content"])
    return " ".join(said)


def _said(content: str | list[dict[str, Any]]) -> str:
    """The text of a message; an image counts as sixteen words of its own."""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part["type"] == "text" else _looked(part["image_url"]["url"]) for part in content)


def _looked(address: str) -> str:
    return " ".join([f"<image-{crc32(address.encode())}>"] * 16)


def serve(socket: str, key: str, settings: Settings) -> ScriptedServer:
    """Listen on `socket` and answer in threads. Raises BadFile when the settings say so."""
    server = ScriptedServer(socket, key, settings)
    server.start()
    return server
