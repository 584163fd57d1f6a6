"""`/v1/completions`: texts that are gone on with as they are, and gaps that are filled in."""

import secrets
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from omni.core.events import EngineEvent, TextDelta, TokenLogprob, TurnEnded
from omni.schemas import apart
from omni.server.app import Server
from omni.server.callers import lane_of
from omni.server.errors import BadParameter
from omni.server.generation import GenerationRequest
from omni.server.openai.chat import FINGERPRINT, finish
from omni.server.openai.choices import Choices, chunks, failed
from omni.server.openai.requests import sampling_of, schema_of, seeded, strict_of
from omni.server.openai.types import MOST_TOP, Finish, Sampled, Used
from omni.server.routes import body_of, json_response
from omni.server.streams import Streamed, while_there

MOST_PROMPTS = 64


class CompletionBody(Sampled, kw_only=True):
    """A request to go on with one text or several; with `suffix`, to write what stands between the two."""

    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=MOST_TOP)] | None = None
    best_of: int | None = None


class OldLogprobs(Struct, kw_only=True):
    """How likely the tokens of a text were, in the form of this endpoint. Offsets count characters."""

    tokens: list[str] = []
    token_logprobs: list[float] = []
    top_logprobs: list[dict[str, float]] = []
    text_offset: list[int] = []


class CompletionChoice(Struct, kw_only=True):
    """One of the texts."""

    index: int
    text: str
    logprobs: OldLogprobs | None = None
    finish_reason: Finish | None = None


class CompletionAnswer(Struct, kw_only=True):
    """Texts as a whole, or what is new in them."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Used | UnsetType | None = UNSET
    system_fingerprint: str


async def completions(request: Request) -> Response:
    """What comes after a text."""
    server: Server = request.app.state.server
    body = await body_of(request, CompletionBody)
    prompts = _prompts(body)
    answers = await while_there(request, _begin(server, lane_of(request), body, prompts))
    usage = not body.stream or bool(body.stream_options and body.stream_options.include_usage)
    writer = CompletionWriter(body, answers.brain, prompts, usage=usage)
    if body.stream:
        return Streamed(
            chunks(answers, writer, usage=usage), failed=failed, close=answers.close, headers=answers.headers
        )
    return json_response(await while_there(request, _whole(answers, writer)), headers=answers.headers)


def _prompts(body: CompletionBody) -> list[str]:
    if body.prompt is None:
        raise BadParameter("There is no prompt.", param="prompt")
    given = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    prompts = [prompt for prompt in given if isinstance(prompt, str)]
    if len(prompts) != len(given):
        raise BadParameter(
            "Prompts made of tokens are not read.",
            hint="Send text; another model's tokens mean nothing.",
            param="prompt",
        )
    if not prompts or not all(prompt or body.suffix for prompt in prompts):
        raise BadParameter("A prompt is empty.", hint="Send at least one character.", param="prompt")
    if len(prompts) * (body.n or 1) > MOST_PROMPTS:
        raise BadParameter(
            f"One request may ask for {MOST_PROMPTS} texts.", hint="Send several requests.", param="prompt"
        )
    if (body.best_of or 1) > (body.n or 1):
        raise BadParameter("`best_of` is not known here.", hint="Ask for `n` and choose.", param="best_of")
    if body.echo and body.suffix:
        raise BadParameter("`echo` and `suffix` do not go together.", param="echo")
    if body.echo and body.logprobs is not None:
        raise BadParameter(
            "The likelihoods of a prompt's own tokens are not known here.", hint="Leave out `echo`.", param="echo"
        )
    return prompts


async def _begin(server: Server, lane: str, body: CompletionBody, prompts: list[str]) -> Choices:
    brain = await server.names.find(body.model or "", "texts")
    wish = GenerationRequest(
        brain=brain,
        suffix=body.suffix or None,
        sampling=sampling_of(body),
        schema=await apart(schema_of, body),
        strict=strict_of(body.response_format),
        logprobs=body.logprobs,
        adapter_scale=body.adapter_scale,
    )
    wishes = [msgspec.structs.replace(wish, prompt=prompt) for prompt in prompts]
    count = body.n or 1
    return await Choices.begin(
        server, lane, [seeded(wish, at) for wish in wishes for at in range(count)], prompts=len(prompts)
    )


async def _whole(answers: Choices, writer: "CompletionWriter") -> CompletionAnswer:
    choices = {choice.index: choice for chunk in writer.begin() for choice in chunk.choices}
    async with aclosing(answers.events()) as events:
        async for at, event in events:
            for chunk in writer.read(at, event):
                for new in chunk.choices:
                    _join(choices.setdefault(new.index, CompletionChoice(index=new.index, text="")), new)
    whole = writer.used(await answers.used())
    whole.choices = [choice for _, choice in sorted(choices.items())]
    return whole


def _join(choice: CompletionChoice, new: CompletionChoice) -> None:
    choice.text += new.text
    choice.finish_reason = new.finish_reason or choice.finish_reason
    if new.logprobs is not None:
        choice.logprobs = choice.logprobs or OldLogprobs()
        for name in OldLogprobs.__struct_fields__:
            getattr(choice.logprobs, name).extend(getattr(new.logprobs, name))


class CompletionWriter:
    """Writes the chunks of a stream, which are also the pieces of a whole answer."""

    def __init__(self, body: CompletionBody, brain: str, prompts: list[str], *, usage: bool) -> None:
        self._model, self._usage = body.model or brain, usage
        self._id, self._created = f"cmpl-{secrets.token_hex(12)}", int(time.time())
        self._logprobs, self._top = body.logprobs is not None, body.logprobs or 0
        each = body.n or 1
        self._echoed = [prompt for prompt in prompts for _ in range(each)] if body.echo else []
        self._held = [""] * (each * len(prompts))
        self._offset = [0] * len(self._held)

    def begin(self) -> "Iterator[CompletionAnswer]":
        """The prompts, for who wants them back."""
        for at, prompt in enumerate(self._echoed):
            yield self._chunk(CompletionChoice(index=at, text=prompt))

    def read(self, at: int, event: EngineEvent) -> "Iterator[CompletionAnswer]":
        """The chunks that an event becomes."""
        match event:
            case TextDelta(text=text) if self._logprobs:
                self._held[at] += text
            case TextDelta(text=text):
                yield self._chunk(CompletionChoice(index=at, text=text))
            case TokenLogprob() if self._logprobs:
                text, self._held[at] = self._held[at], ""
                yield self._chunk(CompletionChoice(index=at, text=text, logprobs=self._likely(at, event)))
            case TurnEnded():
                yield self._chunk(CompletionChoice(index=at, text=self._held[at], finish_reason=finish(event)))

    def used(self, used: Used) -> CompletionAnswer:
        """The chunk after the last one."""
        return self._event([], used)

    def _likely(self, at: int, event: TokenLogprob) -> OldLogprobs:
        token, offset = event.chosen, self._offset[at]
        self._offset[at] += len(token.token)
        return OldLogprobs(
            tokens=[token.token],
            token_logprobs=[token.logprob],
            top_logprobs=[{one.token: one.logprob for one in event.top[: self._top]}],
            text_offset=[offset],
        )

    def _chunk(self, choice: CompletionChoice) -> CompletionAnswer:
        return self._event([choice], None if self._usage else UNSET)

    def _event(self, choices: list[CompletionChoice], usage: Used | UnsetType | None) -> CompletionAnswer:
        return CompletionAnswer(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=usage,
            system_fingerprint=FINGERPRINT,
        )
