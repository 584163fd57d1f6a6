"""Which brain a model's name means: a cartridge, a base, or an alias of the user's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni.cartridges import EMBEDDER_HINT
from omni.core.errors import BadFile, NotFound, OmniError, nearest
from omni.server.errors import BadParameter

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain

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
    """What is said of a brain that only makes vectors, or was never taught to answer, to who wants an answer of it."""
    if untaught(brain):
        return BadParameter(
            f"{brain.name} has no chat template: nothing tells it where a question ends and an answer begins.",
            hint="It goes on with a text at /v1/completions or /api/generate. To chat, take another brain, or pull this one by "
            "a cartridge that has a `template`.",
            param="model",
        )
    return BadParameter(
        f"{brain.name} is {brain.reason.rstrip('.')}.",
        hint="Ask it at /v1/embeddings or /api/embed, and another one here.",
        param="model",
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

    async def find(self, name: str, *, chats: bool = True, vectors: bool = False) -> "Brain":
        """The brain that can be asked under `name`; "" is the default one. Raises NotFound, which lists what is here, and
        BadParameter for one that only makes vectors, or only goes on with texts, where it shall answer; BadFile for one whose
        file is the reason why it cannot be asked.

        `chats` false: one will do that was never taught to answer, for its vectors or to go on with a text. `vectors`: it is
        asked for these, so that "" is a brain made for them where there is one, and how to get one is told.
        """
        await self._services.read_settings_again()
        if not name:
            return await self._default(vectors=vectors)
        aliases = self.aliases()
        wanted = aliases.get(name) or aliases.get(name.removesuffix(LATEST)) or name
        try:
            brain = await self._known(wanted)
        except NotFound as error:
            raise await self._unknown(name, error, vectors=vectors) from error
        if (why := _why_not(brain, chats=chats)) is not None:
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
        """By its whole name; by the part after the owner, where one usable brain or else one for vectors has it; as the
        library finds it."""
        short = name.removesuffix(LATEST)
        everyone = await self._services.library.brains()
        for brains in (self._usable(everyone), _embedders(everyone)):
            for wanted in (name, short):
                if matches := [brain for brain in brains if wanted == brain.name]:
                    return matches[0]
            if len(matches := [brain for brain in brains if short == brain.name.rpartition("/")[2]]) == 1:
                return matches[0]
        return await self._services.library.get(short)

    async def embedders(self) -> "list[Brain]":
        """The brains that were made for vectors."""
        return _embedders(await self._services.library.brains())

    async def _default(self, *, vectors: bool) -> "Brain":
        if vectors and (embedders := await self.embedders()):
            return embedders[0]
        try:
            return await self._services.loaded_default()
        except NotFound as error:
            if not vectors or self._services.settings.chat.brain:
                raise
            raise NotFound("No brain is here yet that makes vectors.", hint=EMBEDDER_HINT) from error

    async def _unknown(self, name: str, error: NotFound, *, vectors: bool) -> NotFound:
        made = [brain.name for brain in await self.embedders()] if vectors else []
        names = [*made, *(brain.name for brain in await self.usable()), *self.aliases()]
        helps = error.hint or MAP_IT
        if vectors:
            helps = MAP_IT if made else EMBEDDER_HINT
        if not names:
            helps = EMBEDDER_HINT if vectors else "Run `omni pull @omni/smollm2`."
            return NotFound(f"There is no model {name!r} here, and no other.", hint=helps)
        return NotFound(
            f"There is no model {name!r} here. Installed: {', '.join(names)}."
            + (" None of them was made for vectors." if vectors and not made else ""),
            hint=nearest(name, names) or helps,
        )


def _why_not(brain: "Brain", *, chats: bool) -> OmniError | None:
    """What keeps a brain from being asked: who asked for it, where it is for something else; else its file, or its absence."""
    if brain.usable:
        return None
    if brain.embeds or untaught(brain):
        return cannot_answer(brain) if chats else None
    told = f"{brain.name} cannot be asked: {(brain.reason or f'it is {brain.state}').rstrip('.')}."
    if brain.state == "available":
        told = told if brain.reason else f"{brain.name} is not installed."
        return NotFound(told, hint=brain.command or f"Run `omni pull {brain.name}`.")
    helps = brain.command or f"`omni show {brain.name}` tells more."
    if brain.state in ("gone", "not chat"):
        return NotFound(told, hint=helps)
    return BadFile(told, hint=helps)


def _embedders(brains: "Sequence[Brain]") -> "list[Brain]":
    return [brain for brain in brains if brain.embeds]
