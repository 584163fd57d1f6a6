"""llama.cpp's chat protocol: the body of a request, and the events that its stream stands for. Nothing is sent here."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from omni.core.errors import EngineError
from omni.core.events import (
    EngineEvent,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    TokenAlternative,
    TokenLogprob,
    ToolCallDelta,
    TurnEnded,
    Usage,
)
from omni.core.messages import ImagePart, Message, TextPart
from omni.engine._chunks import LlamaChunk, LlamaFunction, LlamaTimings, LlamaToken, LlamaToolCall
from omni.engine.framing import RAW
from omni.engine.offered import offered
from omni.engine.types import ChatRequest, CompletionRequest


def body_of(
    request: ChatRequest,
    *,
    max_completion_tokens: int,
    seed: int,
    adapters: Sequence[str],
    progress: bool = True,
    grammar: str = "",
    schema: dict[str, Any] | None = None,
    raw: bool = False,
) -> dict[str, Any]:
    """What is posted to `/v1/chat/completions`; the answer is as `grammar` says, or `schema` by llama.cpp's own converter, and
    `raw`: with its thoughts in the text.

    The list of adapters is always whole: a request without it is not compared with what a slot has cached, and would
    go on from the keys and values of another adapter.
    """
    body = prompt_of(request) | _common(
        request, max_completion_tokens=max_completion_tokens, seed=seed, adapters=adapters
    )
    if progress:
        body["return_progress"] = True
    if grammar:
        body["grammar"] = grammar
    if schema is not None:
        body["json_schema"] = schema
    if raw:
        body |= RAW
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, request.logprobs)}  # with none, nothing at all is told
    return body


def completion_body(
    request: CompletionRequest,
    *,
    prompt: Sequence[int],
    max_completion_tokens: int,
    seed: int,
    adapters: Sequence[str],
    grammar: str = "",
    schema: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What is posted to `/completion` for a prompt that was made into tokens already: `/v1/completions` takes none of
    them from a brain that sees."""
    body: dict[str, Any] = {
        "prompt": list(prompt),
        **_common(request, max_completion_tokens=max_completion_tokens, seed=seed, adapters=adapters),
    }
    if grammar or schema is not None:
        body |= {"grammar": grammar} if schema is None else {"json_schema": schema}
        body.pop("stop", None)  # a text that would end the answer cuts no JSON
    if request.logprobs is not None:
        body["n_probs"] = max(1, request.logprobs)
    return body


def prompt_of(request: ChatRequest) -> dict[str, Any]:
    """The part of a body that becomes the prompt, which is all that counting needs."""
    body: dict[str, Any] = {"messages": sent(request.messages)}
    if request.messages and request.messages[-1].role == "assistant":  # servers that find it out say it once more
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.tools:
        body["tools"] = [offered(tool) for tool in request.tools]
        parallel = request.parallel_calls is not False and request.tool_choice == "auto"
        body |= {"tool_choice": request.tool_choice, "parallel_tool_calls": parallel}
    if request.thinking is not None:  # templates write a prompt of another length without it
        body["chat_template_kwargs"] = {"enable_thinking": request.thinking}
    return body


def _common(
    request: ChatRequest | CompletionRequest, *, max_completion_tokens: int, seed: int, adapters: Sequence[str]
) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "stream": True,
        "cache_prompt": True,
        "max_tokens": max_completion_tokens,
        "seed": seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "lora": scales(request, adapters),
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logit_bias:
        body["logit_bias"] = [list(one) for one in sampling.logit_bias]
    return body


def sent(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as they go over the wire. Half a surrogate pair, as a broken paste may leave it, becomes `?`."""
    return [_sent(message) for message in messages]


def _sent(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": _plain(message.text)}
    if message.images:
        fields["content"] = [_part(part) for part in message.content]
    if message.calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    if (result := message.result) is not None:
        fields |= {"tool_call_id": result.call_id, "name": result.name}
    return fields


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": _plain(part.text)}
    address = f"data:image/{part.kind};base64,{b64encode(part.data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": address}}


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def scales(request: ChatRequest | CompletionRequest, adapters: Sequence[str]) -> list[dict[str, Any]]:
    """The scale of every adapter that the worker has loaded. Raises EngineError when it lacks the wanted one."""
    wanted = request.adapter
    if wanted is not None and wanted.path not in adapters:
        raise EngineError(
            f"The adapter {wanted.path} is not loaded.", hint="Stop this brain with `omni stop` and ask again."
        )
    return [
        {"id": at, "scale": wanted.scale if wanted is not None and wanted.path == path else 0.0}
        for at, path in enumerate(adapters)
    ]


class ChunkDecoder:
    """Turns the chunks of one stream into events, and remembers what the last event needs."""

    def __init__(self) -> None:
        self.reason = "stop"
        self.whole = False
        self.timings = LlamaTimings()

    def events(self, chunk: LlamaChunk) -> list[EngineEvent]:
        """The events of one chunk."""
        events: list[EngineEvent] = []
        if (progress := chunk.prompt_progress) is not None:
            events.append(PromptProgress(done=progress.processed, total=progress.total, cached=progress.cache))
        for choice in chunk.choices:
            if (delta := choice.delta) is not None:
                if delta.reasoning_content:
                    events.append(ReasoningDelta(text=delta.reasoning_content))
                if delta.content:
                    events.append(TextDelta(text=delta.content))
                if delta.tool_calls:
                    events += map(_called, delta.tool_calls)
            if choice.logprobs is not None:
                events += map(_chosen, choice.logprobs.content or ())
            if choice.finish_reason:
                self.reason, self.whole = choice.finish_reason, True
        if chunk.content:
            events.append(TextDelta(text=chunk.content))
        if chunk.completion_probabilities:
            events += map(_chosen, chunk.completion_probabilities)
        if chunk.stop:
            self.reason, self.whole = ("length" if chunk.stop_type == "limit" else "stop"), True
        self.timings = chunk.timings or self.timings
        return events

    def add_read(self, tokens: int, seconds: float) -> None:
        """Count what was read of the prompt in a request before this one, which found it cached."""
        self.timings = msgspec.structs.replace(
            self.timings,
            prompt_n=self.timings.prompt_n + tokens,
            cache_n=max(0, self.timings.cache_n - tokens),
            prompt_ms=self.timings.prompt_ms + seconds * 1000,
        )

    def ended(self, *, allocated: int) -> TurnEnded:
        """The last event. Raises EngineError when the stream was closed without saying how the answer ended."""
        if not self.whole:
            raise EngineError("The brain's process ended its answer without a reason.", hint="Ask again.")
        times = self.timings
        usage = Usage(
            prompt_tokens=times.prompt_n + times.cache_n,
            cached_tokens=times.cache_n,
            completion_tokens=times.predicted_n,
            prompt_seconds=times.prompt_ms / 1000,
            completion_seconds=times.predicted_ms / 1000,
            drafted_tokens=times.draft_n,
            accepted_tokens=times.draft_n_accepted,
        )
        return TurnEnded(
            reason=self.reason if self.reason in ("length", "tool_calls") else "stop",  # type: ignore[arg-type]  # not narrowed by `in`
            usage=usage,
            context_used=usage.prompt_tokens + usage.completion_tokens,
            context_allocated=allocated,
        )


def _chosen(token: LlamaToken) -> TokenLogprob:
    return TokenLogprob(chosen=_likelihood(token), top=tuple(map(_likelihood, token.top_logprobs)))


def _likelihood(token: LlamaToken) -> TokenAlternative:
    return TokenAlternative(token=token.token, logprob=token.logprob, bytes=tuple(token.bytes or ()))


def _called(call: LlamaToolCall) -> ToolCallDelta:
    function = call.function or LlamaFunction()
    return ToolCallDelta(
        index=call.index, id=call.id or "", name=function.name or "", arguments=function.arguments or ""
    )
