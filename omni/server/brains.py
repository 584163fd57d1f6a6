"""Which brain a model's name means: a cartridge, a base, or an alias of the user's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni.cartridges import EMBEDDER_HINT
from omni.core.errors import NotFound, nearest
from omni.server.errors import BadParameter

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain

MAP_IT = "Map the name to one of them under [serve.aliases] in config.toml."
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


def cannot_answer(brain: "Brain") -> BadParameter:
    """What is said of a brain that only makes vectors to who wants an answer of it."""
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
        """The brains that can be asked now, the default one first."""
        return self._usable(await self._services.library.brains())

    def _usable(self, brains: "Sequence[Brain]") -> "list[Brain]":
        default = self._services.settings.chat.brain
        return sorted((brain for brain in brains if brain.usable), key=lambda brain: brain.name != default)

    def aliases(self) -> dict[str, str]:
        """The names that the user gave to brains."""
        return dict(self._services.settings.serve.aliases)

    async def find(self, name: str, *, chats: bool = True, vectors: bool = False) -> "Brain":
        """The brain that can be asked under `name`; "" is the default one. Raises NotFound, which lists what is here, and
        BadParameter for one that only makes vectors where it shall answer.

        `chats` false: one will do that was never taught to answer, for its vectors or to go on with a text. `vectors`: it is
        asked for these, so that "" is a brain made for them where there is one, and how to get one is told.
        """
        await self._services.read_settings_again()
        if not name:
            return await self._default(vectors=vectors)
        aliases = self.aliases()
        wanted = aliases.get(name) or aliases.get(name.removesuffix(LATEST)) or name
        try:
            found = await self._get(wanted)
        except NotFound as error:
            raise await self._unknown(name, error, vectors=vectors) from error
        if chats and found.embeds:
            raise cannot_answer(found)
        if not found.usable and not (found.state == "not chat" and found.base is not None and not chats):
            why = found.reason or ("it is not installed." if found.state == "available" else f"it is {found.state}.")
            raise NotFound(
                f"{found.name} cannot be asked: {why}", hint=found.command or f"Run `omni pull {found.name}`."
            )
        return found

    async def _get(self, name: str) -> "Brain":
        """By its whole name; by the part after the owner, where one usable brain or else one for vectors has it; as the
        library finds it."""
        short = name.removesuffix(LATEST)
        everyone = await self._services.library.brains()
        for brains in (self._usable(everyone), _embedders(everyone)):
            for wanted in (name, short):
                if found := [brain for brain in brains if wanted == brain.name]:
                    return found[0]
            if len(found := [brain for brain in brains if short == brain.name.rpartition("/")[2]]) == 1:
                return found[0]
        return await self._services.library.get(short)

    async def embedders(self) -> "list[Brain]":
        """The brains that were made for vectors."""
        return _embedders(await self._services.library.brains())

    async def _default(self, *, vectors: bool) -> "Brain":
        if vectors and (found := await self.embedders()):
            return found[0]
        try:
            return await self._services.default_brain()
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


def _embedders(brains: "Sequence[Brain]") -> "list[Brain]":
    return [brain for brain in brains if brain.embeds]
