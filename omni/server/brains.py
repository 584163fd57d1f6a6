"""Which brain a model's name means: a cartridge, a base, or an alias of the user's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from omni.cartridges import EMBEDDER_HINT, RERANKER_HINT
from omni.core.errors import BadFile, NotFound, OmniError, nearest
from omni.server.errors import BadParameter

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain

Wants = Literal[
    "answers", "texts", "vectors", "ranks"
]  # what a brain is asked for; "texts": to go on with one, or to read it

MAP_IT = "Map the name to one of them under [serve.aliases] in config.toml."
LISTED = 3.0  # seconds that a list waits for a look around; clients that fill a menu do not wait for long
LATEST = ":latest"  # what Ollama's clients add to a name without a tag


def pullable(name: str) -> str:
    """A name that may be pulled over HTTP: no path, since the server would read that file for whoever asks. Raises
    BadParameter."""
    remote = "://" in name or name.startswith(("hf.co/", "huggingface.co/", "@"))
    if name.startswith(("/", ".", "~", "file:")) or (name.lower().endswith(".gguf") and not remote):
        raise BadParameter(
            "A file of the server's machine is not pulled over the API.",
            hint="Name a brain, hf.co/OWNER/MODEL:QUANT or an address; on that machine `omni pull FILE` takes a file.",
            param="model",
        )
    return name


def untaught(brain: "Brain") -> bool:
    """Whether it was never taught to answer: it has no chat template, and goes on with a text as it is."""
    return brain.state == "not chat" and brain.base is not None and brain.base.header.kind == "model"


def cannot_answer(brain: "Brain") -> BadParameter:
    """What is said of a brain that makes vectors or ranks texts, or was never taught to answer, to who wants an answer of it."""
    if untaught(brain):
        return BadParameter(
            f"{brain.name} has no chat template: nothing tells it where a question ends and an answer begins.",
            hint="It goes on with a text at /v1/completions or /api/generate. To chat, take another brain, or pull this one by "
            "a cartridge that has a `template`.",
            param="model",
        )
    place = "/v1/rerank" if brain.reranks else "/v1/embeddings or /api/embed"
    return BadParameter(
        f"{brain.name} is {brain.reason.rstrip('.')}.", hint=f"Ask it at {place}, and another one here.", param="model"
    )


def _cannot_rank(brain: "Brain") -> BadParameter:
    return BadParameter(
        f"{brain.name} was not made to say how well texts answer a question, and would guess.",
        hint=f"Name a reranker, or an embedding model, whose vectors are compared. {RERANKER_HINT}",
        param="model",
    )


def _makes_no_vectors(brain: "Brain") -> BadParameter:
    return BadParameter(
        f"{brain.name} is {brain.reason.rstrip('.')}.", hint=f"Ask it at /v1/rerank. {EMBEDDER_HINT}", param="model"
    )


class Names:
    """Finds brains for requests."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    async def usable(self) -> "list[Brain]":
        """The brains that can be asked now, the default one first; what is being found in the background is waited for."""
        await self._services.library.looked(LISTED, begin=False)
        return self._usable(await self._services.library.brains())

    def _usable(self, brains: "Sequence[Brain]") -> "list[Brain]":
        default = self._services.settings.chat.brain
        return sorted((brain for brain in brains if brain.usable), key=lambda brain: brain.name != default)

    def aliases(self) -> dict[str, str]:
        """The names that the user gave to brains."""
        return dict(self._services.settings.serve.aliases)

    async def find(self, name: str, wants: Wants = "answers") -> "Brain":
        """The brain that can be asked under `name` for what one `wants`; "" is the default one, or one that was made for that
        where vectors or ranks are wanted. Raises NotFound, which lists what is here and how to get what is wanted;
        BadParameter for one that does something else; BadFile for one whose file is the reason why it cannot be asked.
        """
        await self._services.read_settings_again()
        if not name:
            return await self._default(wants)
        aliases = self.aliases()
        wanted = aliases.get(name) or aliases.get(name.removesuffix(LATEST)) or name
        try:
            brain = await self._known(wanted)
        except NotFound as error:
            raise await self._unknown(name, error, wants) from error
        if (why := _why_not(brain, wants)) is not None:
            raise why
        return brain

    async def _known(self, name: str) -> "Brain":
        """As `_get`, after a look around where nothing has the name."""
        try:
            return await self._get(name)
        except NotFound:
            await self._services.library.looked()
            return await self._get(name)

    async def _get(self, name: str) -> "Brain":
        """By its whole name; by the part after the owner, where one usable brain or else one for vectors or ranks has it; as the
        library finds it."""
        short = name.removesuffix(LATEST)
        everyone = await self._services.library.brains()
        for brains in (self._usable(everyone), _computing(everyone)):
            for wanted in (name, short):
                if matches := [brain for brain in brains if wanted == brain.name]:
                    return matches[0]
            if len(matches := [brain for brain in brains if short == brain.name.rpartition("/")[2]]) == 1:
                return matches[0]
        return await self._services.library.get(short)

    async def computing(self) -> "list[Brain]":
        """The brains that were made for vectors, and those that rank texts."""
        return _computing(await self._services.library.brains())

    async def _made(self, wants: Wants) -> "list[Brain]":
        """The brains that were made for just this; of those for vectors one that ranks comes first where ranks are wanted."""
        return sorted(
            (
                brain
                for brain in await self.computing()
                if (brain.embeds and wants in ("vectors", "ranks")) or (brain.reranks and wants == "ranks")
            ),
            key=lambda brain: brain.embeds,
        )

    async def _default(self, wants: Wants) -> "Brain":
        if made := await self._made(wants):
            return made[0]
        if wants == "ranks":
            raise NotFound("No brain is here yet that ranks texts.", hint=RERANKER_HINT)
        try:
            return await self._services.loaded_default()
        except NotFound as error:
            if wants != "vectors" or self._services.settings.chat.brain:
                raise
            raise NotFound("No brain is here yet that makes vectors.", hint=EMBEDDER_HINT) from error

    async def _unknown(self, name: str, error: NotFound, wants: Wants) -> NotFound:
        made = [brain.name for brain in await self._made(wants)]
        names = [*made, *(brain.name for brain in await self.usable()), *self.aliases()]
        fetch = {"vectors": EMBEDDER_HINT, "ranks": RERANKER_HINT}.get(wants, "")
        if not names:
            return NotFound(
                f"There is no model {name!r} here, and no other.", hint=fetch or "Run `omni pull @omni/smollm2`."
            )
        helps = (MAP_IT if made else fetch) if fetch else error.hint or MAP_IT
        return NotFound(
            f"There is no model {name!r} here. Installed: {', '.join(names)}."
            + (f" None of them was made for {wants}." if fetch and not made else ""),
            hint=nearest(name, names) or helps,
        )


def _why_not(brain: "Brain", wants: Wants) -> OmniError | None:
    """What keeps a brain from being asked: what is wanted of it, where it is for something else; else its file, or its absence."""
    if wants == "ranks" and (brain.usable or untaught(brain)):
        return _cannot_rank(brain)
    if brain.usable:
        return None
    if wants == "vectors" and brain.reranks:
        return _makes_no_vectors(brain)
    if brain.askable or untaught(brain):
        return cannot_answer(brain) if wants == "answers" else None
    told = f"{brain.name} cannot be asked: {(brain.reason or f'it is {brain.state}').rstrip('.')}."
    if brain.state == "available":
        told = told if brain.reason else f"{brain.name} is not installed."
        return NotFound(told, hint=brain.command or f"Run `omni pull {brain.name}`.")
    helps = brain.command or f"`omni show {brain.name}` tells more."
    if brain.state in ("gone", "not chat"):
        return NotFound(told, hint=helps)
    return BadFile(told, hint=helps)


def _computing(brains: "Sequence[Brain]") -> "list[Brain]":
    return [brain for brain in brains if brain.embeds or brain.reranks]
