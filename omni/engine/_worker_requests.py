"""What a worker is asked for one turn: the path, the body with its grammar, and how many tokens it will read."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from omni.engine._infill import prompt_tokens
from omni.engine._knowledge import Knowledge, Props, told
from omni.engine._prompts import Prompts
from omni.engine.answers import body_of, completion_body, prompt_of, scales
from omni.engine.binding import Binding
from omni.engine.framing import UNFRAMED
from omni.engine.http import WorkerClient
from omni.engine.types import ChatRequest, CompletionRequest
from omni.engine.unframing import Unframer
from omni.schemas import apart

LONG_PROMPT = 128  # tokens, one batch: to tell of less costs the worker's threads 1.5 ms and tells nobody anything


class WorkerRequest(NamedTuple):
    """A request as it goes to the worker. `shows`: it has images; `tools`: the template tells of some. `prompt` is what
    it becomes there, `fixed` what of it is the brain's own, and `lora` are the scales of its adapters. `goes_on`: something was
    answered before. `bind` makes the answer keep to what it is bound to."""

    path: str
    tokens: int
    max_completion_tokens: int
    seed: int | None
    body: Callable[..., dict[str, Any]]
    prompt: Callable[[WorkerClient], Awaitable[str | list[int]]]
    lora: list[dict[str, Any]]
    shows: bool = False
    tools: bool = False
    fixed: str = ""
    goes_on: bool = False
    bind: "Callable[[WorkerClient], Awaitable[Framed]] | None" = None


class Framed(NamedTuple):
    """What is asked in the end, and what takes off that stands around the answer."""

    body: Callable[..., dict[str, Any]]
    unframer: Unframer


class WorkerRequests:
    """Writes the requests of one engine for its worker. `keeps_grammars`: it has LLGuidance, which reads Omni's grammars."""

    def __init__(
        self, knowledge: Knowledge, prompts: Prompts, adapters: tuple[str, ...], *, keeps_grammars: bool = True
    ) -> None:
        self._knowledge, self._prompts, self._adapters = knowledge, prompts, adapters
        self._keeps_grammars = keeps_grammars

    async def written(
        self, client: WorkerClient, request: ChatRequest | CompletionRequest, props: Props
    ) -> WorkerRequest:
        """What the worker is asked, and how many tokens it will read for it. Raises as `Prompts.written` does."""
        if isinstance(request, CompletionRequest):
            prompt = await prompt_tokens(client, request)
            return WorkerRequest(
                path="/completion",
                tokens=len(prompt),
                max_completion_tokens=request.sampling.max_tokens,
                seed=request.sampling.seed,
                body=partial(completion_body, request, prompt=prompt, adapters=self._adapters),
                prompt=lambda _client: _already(prompt),
                lora=scales(request, self._adapters),
            )
        said, tokens = await self._prompts.written(client, request, props)
        shows = self._prompts.look(said.messages)
        return WorkerRequest(
            path="/v1/chat/completions",
            tokens=tokens,
            max_completion_tokens=said.sampling.max_tokens,
            seed=said.sampling.seed,
            body=partial(body_of, said, adapters=self._adapters, progress=tokens > LONG_PROMPT or shows),
            prompt=partial(_prompt, said=said),
            lora=scales(request, self._adapters),
            shows=shows,
            tools=bool(said.tools),
            fixed="" if shows or said.tools or request.tools else said.fixed,  # templates may tell of tools before it
            goes_on=any(message.role == "assistant" for message in said.messages),
        )

    async def bound(
        self,
        asked: WorkerRequest,
        request: ChatRequest | CompletionRequest,
        binding: Binding,
        density: int | None,
        client: WorkerClient,
    ) -> Framed:
        """What the worker is asked, with the grammar that its answer must follow, and that it is known to keep; of one that
        keeps none of ours with a schema, which only the proof of the answer holds it to."""
        if not self._keeps_grammars:
            characters = None if density is None else asked.max_completion_tokens * density
            return Framed(partial(asked.body, schema=binding.converted(characters)), Unframer(UNFRAMED))
        framing = UNFRAMED
        if isinstance(request, ChatRequest) and not (request.messages and request.messages[-1].role == "assistant"):
            framing = await self._knowledge.framing(client, thinking=request.thinking, tools=asked.tools)
        characters = None if density is None else asked.max_completion_tokens * density
        bound = await apart(binding.bound, framing, characters)
        await self._knowledge.prove(client, bound, asked.prompt, asked.lora)
        body = partial(asked.body, grammar=bound.text, **({"raw": True} if framing.raw else {}))
        return Framed(body, Unframer(framing))


async def _prompt(client: WorkerClient, said: ChatRequest) -> str:
    """The text that a chat becomes; of one with images another, since it takes long to look at them."""
    if any(message.images for message in said.messages):
        return "{"
    answer = await client.json("/apply-template", prompt_of(said))
    return told(lambda: str(answer["prompt"]), "does not tell its prompt")


async def _already(prompt: list[int]) -> list[int]:
    return prompt
