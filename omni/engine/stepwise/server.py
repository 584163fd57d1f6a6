"""llama.cpp's protocol over a `StepModel`: as much of it as `WorkerEngine` uses.

Slots are answered at the same time, a step of one after a step of another: the model's own thread takes them as they come.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

from omni.engine.protocol_server import ProtocolHandler, ProtocolServer, choice, common
from omni.engine.stepwise.answering import Answering, PromptRead, StepEnd, StepSlot, StepText
from omni.engine.stepwise.grammars import GrammarRefused, Grammars
from omni.engine.stepwise.model import NoRoom, StepModel
from omni.engine.stepwise.prompts import PromptRefused, TemplatePrompts
from omni.engine.stepwise.sampling import Likelihood
from omni.engine.stepwise.spoken import Thoughts

Settings = dict[str, Any]


class StepRefused(Exception):
    """A request that is answered with an error of llama.cpp's form."""

    def __init__(self, status: int, message: str, kind: str, **extra: int) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.extra = status, message, kind, extra


class StepServer(ProtocolServer):
    """Serves the model that `load` makes, in the thread that then takes all of its steps. Raises what `load` raises, and
    PromptRefused for a template that cannot be read."""

    def __init__(self, socket: str, key: str, settings: Settings, load: Callable[[], StepModel], *, batch: int) -> None:
        self._thread = ThreadPoolExecutor(1, "model")
        self.settings, self.batch = settings, int(settings.get("batch", batch))
        self.model = self.take(load)
        self.prompts = TemplatePrompts(str(settings.get("chat_template", "")) or self.model.template, self.model.marks)
        self.grammars = Grammars(self.model)
        self.slots = [StepSlot(number) for number in range(int(settings.get("slots", 1)))]
        self._cells = int(settings.get("cells") or settings.get("context") or self.model.context)
        self._free = threading.Semaphore(len(self.slots))
        self._lock = threading.Lock()
        super().__init__(socket, key, _StepHandler)

    def take(self, step: Callable[[], Any]) -> Any:
        """Have the model's thread do something, in its turn."""
        return self._thread.submit(step).result()

    @contextmanager
    def slot(self, prompt: list[int], seed: int) -> Iterator[StepSlot]:
        """A free slot, that which knows most of a prompt; waits for one."""
        with self._free:
            with self._lock:
                free = [slot for slot in self.slots if not slot.busy]
                slot = max(free, key=lambda one: (common(one.known, prompt), -len(one.known)))
                slot.busy, slot.seed = True, seed
            try:
                yield slot
            finally:
                with self._lock:
                    slot.busy, slot.used, slot.claimed = False, time.monotonic(), 0

    def claim(self, slot: StepSlot, count: int) -> None:
        """Claim room for so many tokens in all of a slot: what nobody waits for goes, the longest unused first. Until they are read the
        room is no other's. Raises NoRoom."""
        with self._lock:
            slot.claimed = 0
            while sum(max(len(one.known), one.claimed) for one in self.slots if one is not slot) + count > self._cells:
                idle = [one for one in self.slots if one.known and not one.busy]
                if not idle:
                    raise NoRoom
                oldest = min(idle, key=lambda one: one.used)
                oldest.known = []
                self.take(lambda number=oldest.number: self.model.keep(number, 0))  # type: ignore[misc]  # a default binds it
            slot.claimed = count

    def view(self) -> list[dict[str, Any]]:
        """The slots as `/slots` shows them."""
        with self._lock:
            return [
                {
                    "id": slot.number,
                    "n_ctx": self.model.context,
                    "is_processing": slot.busy,
                    "params": {"seed": slot.seed},
                    "n_prompt_tokens": len(slot.known),
                }
                for slot in self.slots
            ]


class _StepHandler(ProtocolHandler):
    server: StepServer
    posts: ClassVar[dict[str, str]] = {
        "/apply-template": "_apply_template",
        "/tokenize": "_tokenize",
        "/detokenize": "_detokenize",
        "/v1/chat/completions": "_chat",
        "/v1/chat/completions/input_tokens": "_input_tokens",
        "/completion": "_complete",
        "/v1/embeddings": "_embed",
    }

    def told(self) -> Any:
        server = self.server
        answers: dict[str, Callable[[], Any]] = {
            "/health": lambda: {"status": "ok"},
            "/props": lambda: {
                "default_generation_settings": {"n_ctx": server.model.context},
                "total_slots": len(server.slots),
                "model_path": "",
                "build_info": server.model.name,
                "chat_template": server.prompts.text,
                "chat_template_caps": {"supports_tools": False},  # nobody here reads calls in a template's own form
                "modalities": {"vision": False},
            },
            "/v1/models": lambda: {"data": [{"id": "model", "meta": {"n_vocab": server.model.vocabulary}}]},
            "/slots": server.view,
            "/lora-adapters": list,
        }
        answer = answers.get(self.path)
        return answer() if answer is not None else None

    def do_POST(self) -> None:  # noqa: N802 - the parent's name
        """As the parent; what a request may not have is told in llama.cpp's words, which Omni knows."""
        try:
            super().do_POST()
        except StepRefused as error:
            self.refuse(error.status, error.message, error.kind, error.extra)
        except PromptRefused as error:
            self.refuse(500, str(error), "server_error")
        except GrammarRefused as error:
            self.refuse(400, str(error), "invalid_request_error")

    def _apply_template(self, body: dict[str, Any]) -> None:
        self.answer({"prompt": self.server.prompts.written(body)})

    def _tokenize(self, body: dict[str, Any]) -> None:
        special, beginning = bool(body.get("parse_special", True)), bool(body.get("add_special", False))
        self.answer({"tokens": self.server.model.tokens(body["content"], special=special, beginning=beginning)})

    def _detokenize(self, body: dict[str, Any]) -> None:
        text = b"".join(map(self.server.model.piece, map(int, body["tokens"])))
        self.answer({"content": text.decode("utf-8", "replace")})

    def _input_tokens(self, body: dict[str, Any]) -> None:
        self.answer({"input_tokens": len(self._tokens(self.server.prompts.written(body)))})

    def _embed(self, body: dict[str, Any]) -> None:
        server = self.server
        if not server.settings.get("embeddings"):
            raise StepRefused(501, "This server does not support embeddings.", "not_supported_error")
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        read = [server.model.tokens(text, special=True, beginning=True) for text in texts]
        most = min(server.batch, server.model.context)
        for tokens in read:
            if not tokens:
                raise StepRefused(400, "input content cannot be empty", "invalid_request_error")
            if len(tokens) > most:
                words = (
                    f"input ({len(tokens)} tokens) is too large to process. increase the physical batch size: {most}"
                )
                raise StepRefused(500, words, "server_error")
        data = [
            {"index": at, "embedding": server.take(lambda one=tokens: server.model.vector(one))}  # type: ignore[misc]  # a default binds it
            for at, tokens in enumerate(read)
        ]
        count = sum(map(len, read))
        self.answer({"object": "list", "data": data, "usage": {"prompt_tokens": count, "total_tokens": count}})

    def _chat(self, body: dict[str, Any]) -> None:
        prompt = self.server.prompts.written(body)
        raw = body.get("reasoning_format") == "none"
        self._answer(body, self._tokens(prompt), _ChatForm(Thoughts("" if raw else self.server.prompts.text, prompt)))

    def _complete(self, body: dict[str, Any]) -> None:
        prompt = body["prompt"]
        tokens = self._tokens(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
        if any(not 0 <= token < self.server.model.vocabulary for token in tokens):
            raise StepRefused(400, "Prompt contains invalid tokens", "invalid_request_error")
        self._answer(body, tokens, _TextForm())

    def _tokens(self, prompt: str) -> list[int]:
        """A prompt as it is read. What a template wrote of a beginning is not written again."""
        model = self.server.model
        beginning = model.marks.get("bos_token", "")
        written = model.begins and bool(beginning) and prompt.startswith(beginning)
        tokens: list[int] = model.tokens(prompt, special=True, beginning=not written)
        return tokens

    def _answer(self, body: dict[str, Any], prompt: list[int], form: "_ChatForm | _TextForm") -> None:
        server = self.server
        if len(prompt) >= server.model.context:
            extra = {"n_prompt_tokens": len(prompt), "n_ctx": server.model.context}
            words = "the request exceeds the available context size"
            raise StepRefused(400, words, "exceed_context_size_error", **extra)
        if not prompt:
            prompt = [server.model.end]  # as an empty text is begun by nothing
        if server.settings.get("embeddings"):
            raise StepRefused(501, "This server does not support logits computation.", "not_supported_error")
        answering = Answering(
            server.model,
            body,
            prompt,
            matcher=server.grammars.of(body),
            batch=server.batch,
            take=server.take,
            claim=server.claim,
        )
        streams, events = bool(body.get("stream")), list[dict[str, Any]]()
        if streams:
            self.begin_stream()
        with server.slot(prompt, int(body.get("seed", -1))) as slot:
            try:
                for step in answering.run(slot):
                    if self.left():
                        return
                    if isinstance(step, PromptRead):
                        if streams and body.get("return_progress"):
                            read = {"total": len(prompt), "cache": step.cached, "processed": step.done, "time_ms": 1}
                            self.send(form.progress(read))
                        continue
                    for event in form.events(step, server.model):
                        self.send(event) if streams else events.append(event)
            except NoRoom as error:
                self._fail(streams, 500, "Context size has been exceeded.", error)
                return
            except GrammarRefused as error:
                self._fail(streams, 400, str(error), error)
                return
            except OSError:  # of the line: who asked has left
                raise
            except Exception as error:  # noqa: BLE001 - else a line that breaks off would say that this process has ended
                self._fail(streams, 500, f"The engine could not compute it: {error}", error)
                return
        if streams:
            self.end_stream(done=isinstance(form, _ChatForm))
        else:
            self.answer(form.whole(events))

    def _fail(self, streams: bool, status: int, words: str, cause: Exception) -> None:
        """An answer that ends with an error, in the middle of its stream or in its place."""
        if not streams:
            raise StepRefused(status, words, "server_error") from cause
        self.send({"error": {"code": status, "message": words, "type": "server_error"}})
        self.end_stream()


class _ChatForm:
    """A chat's answer as it goes over the line."""

    def __init__(self, thoughts: Thoughts) -> None:
        self._thoughts = thoughts

    def progress(self, read: dict[str, int]) -> dict[str, Any]:
        return {"choices": [choice({"role": "assistant", "content": None})], "prompt_progress": read}

    def events(self, step: StepText | StepEnd, model: StepModel) -> Iterator[dict[str, Any]]:
        parts = [choice({name: text}) for name, text in self._thoughts.add(step.text, last=isinstance(step, StepEnd))]
        if isinstance(step, StepText) and step.likelihood is not None:
            parts = parts or [choice({})]
            parts[0]["logprobs"] = {"content": [_probable(step, model)]}
        yield from ({"choices": [part]} for part in parts)
        if isinstance(step, StepEnd):
            yield {"choices": [choice({}, step.reason)]}
            yield {"choices": [], "timings": step.timings}

    def whole(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        parts = [part for event in events for part in event["choices"]]
        message = {
            name: "".join(part["delta"].get(name, "") for part in parts) for name in ("content", "reasoning_content")
        }
        reason = next(part["finish_reason"] for part in parts if part["finish_reason"])
        said = {"role": "assistant", **message}
        return {
            "choices": [{"index": 0, "message": said, "finish_reason": reason}],
            "timings": events[-1]["timings"],
        }


class _TextForm:
    """A completion's."""

    def progress(self, read: dict[str, int]) -> dict[str, Any]:
        return {"index": 0, "content": "", "stop": False, "prompt_progress": read}

    def events(self, step: StepText | StepEnd, model: StepModel) -> Iterator[dict[str, Any]]:
        event: dict[str, Any] = {"index": 0, "content": step.text, "stop": isinstance(step, StepEnd)}
        if isinstance(step, StepEnd):
            why = "limit" if step.reason == "length" else "eos"
            yield event | {"stop_type": why, "timings": step.timings}
        elif step.likelihood is not None:
            yield event | {"completion_probabilities": [_probable(step, model)]}
        elif step.text:
            yield event

    def whole(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        told = [one for event in events for one in event.get("completion_probabilities", ())]
        probabilities = {"completion_probabilities": told} if told else {}
        return events[-1] | probabilities | {"content": "".join(event["content"] for event in events)}


def _probable(step: StepText, model: StepModel) -> dict[str, Any]:
    assert step.likelihood is not None
    return _told(step.likelihood, model) | {"top_logprobs": [_told(one, model) for one in step.top]}


def _told(one: Likelihood, model: StepModel) -> dict[str, Any]:
    piece = model.piece(one.token)
    return {
        "id": one.token,
        "token": piece.decode("utf-8", "replace"),
        "bytes": list(piece),
        "logprob": one.logprob,
    }
