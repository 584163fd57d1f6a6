"""What is known of the worker that answers now, each thing asked once: how much it has allocated, how its template frames
an answer, which grammars it keeps."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from omni.core.errors import EngineError, UsageError
from omni.engine import tool_calls
from omni.engine._infill import tokens_of
from omni.engine.binding import FORBIDDEN, Bound
from omni.engine.framing import Framing, framing_of
from omni.engine.template import ChatTemplate

if TYPE_CHECKING:
    from omni.engine.http import WorkerClient

T = TypeVar("T")

MOST_PROVED = 512
FAR = 100.0  # added to a token's logit it wins wherever it may come


class Props(NamedTuple):
    """`context`: tokens that one chat may have; `vision`: whether it can be shown images."""

    context: int
    vision: bool
    template: ChatTemplate


class Knowledge:
    """What one engine knows of the worker of its brain `name`. Another worker is asked anew."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._socket, self._template = "", ""
        self._props: Props | None = None
        self._framings: dict[tuple[bool | None, bool], Framing] = {}
        self._proved: dict[str, None] = {}
        self._forbidden: list[int] = []

    async def props(self, client: "WorkerClient") -> Props:
        """What the worker says of itself."""
        if self._props is None or self._socket != client.socket:
            answer = await client.json("/props")
            props = told(
                lambda: Props(
                    context=int(answer["default_generation_settings"]["n_ctx"]),
                    vision=bool(answer.get("modalities", {}).get("vision")),
                    template=ChatTemplate(
                        client,
                        name=self._name,
                        tools=tool_calls.knows_tools(
                            answer.get("chat_template", ""), answer.get("chat_template_caps", {})
                        ),
                    ),
                ),
                "does not tell its context",
            )
            self._socket, self._template, self._props = client.socket, str(answer.get("chat_template", "")), props
            self._framings.clear()
            self._proved.clear()
        return self._props

    async def framing(self, client: "WorkerClient", *, thinking: bool | None, tools: bool) -> Framing:
        """How its template frames an answer. Needs a place to compute."""
        await self.props(client)
        if (thinking, tools) not in self._framings:
            framing = await framing_of(client, self._template, thinking=thinking, tools=tools)
            self._framings[thinking, tools] = framing
        return self._framings[thinking, tools]

    async def prove(
        self,
        client: "WorkerClient",
        bound: Bound,
        prompt: Callable[["WorkerClient"], Awaitable[str | list[int]]],
        lora: Sequence[Mapping[str, Any]],
    ) -> None:
        """Raises UsageError when the worker does not keep a grammar: it says nothing of one that it cannot read.

        What no answer can begin with is made likelier than all else; where a grammar is kept it still does not come.
        `prompt` makes that of the answer, which need not read it again; of a grammar that is known it is not asked for.
        """
        await self.props(client)
        if bound.name in self._proved:
            return
        if not self._forbidden:
            self._forbidden = await tokens_of(client, FORBIDDEN)
        body = {
            "prompt": await prompt(client),
            "n_predict": 1,
            "temperature": 0,
            "cache_prompt": True,
            "grammar": bound.proof,
            "logit_bias": [[token, FAR] for token in self._forbidden],
            "lora": lora,
        }
        answer = await client.json("/completion", body)
        if FORBIDDEN in told(lambda: str(answer["content"]), "tries no grammar"):
            raise UsageError(
                f"The engine makes no grammar of this schema: it is too much for it, most of all {bound.heavy[:300]}.",
                hint="Ask for less there, such as fewer patterns of one text, or fewer alternatives.",
            )
        while len(self._proved) >= MOST_PROVED:
            del self._proved[next(iter(self._proved))]
        self._proved[bound.name] = None


def told(read: Callable[[], T], otherwise: str) -> T:
    """What `read` finds in an answer of the worker. Raises EngineError where it is not there."""
    try:
        return read()
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"The brain's process {otherwise}.") from error
