"""Which brain a command means: a name, a file, or what is fetched when the person agrees."""

from pathlib import Path
from typing import TYPE_CHECKING

from omni.cli.asking import agrees
from omni.cli.say import tell
from omni.core.errors import NotFound
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain

STARTER = "@omni/smollm2"


async def brain_to_ask(services: "Services", name: str) -> "Brain":
    """A brain that can be asked now; "" means the default one.

    One that is not here is fetched when there is a person who agrees. Raises NotFound, or BadFile for a bad file.
    """
    from omni.cartridges import MADE

    if is_file(name):
        brain = await services.library.add(name)
    else:
        try:
            brain = await services.library.get(name) if name else await services.default_brain()
        except NotFound:
            if name or services.settings.chat.brain:
                raise
            brain = await services.library.get(STARTER)
            if not await _fetched(services, brain, "No brain is here yet."):
                raise
            brain = await services.library.get(STARTER)
    answers = brain.makes == "answers"
    if answers and brain.state == "available" and await _fetched(services, brain, f"{brain.name} is not here yet."):
        brain = await services.library.get(brain.name)
    if not brain.usable:
        absent = brain.state == "available"
        why = brain.reason or ("it is not here yet" if absent else f"it is {brain.state}")
        why = why if answers or not absent else f"it is not here yet, and for {MADE[brain.makes]} only"
        helps = f"`omni pull {brain.name}` fetches it ({size_words(brain.size)})." if absent else ""
        if brain.makes == "vectors" and not absent:
            helps = "`omni embed` prints its vectors; programs get them from `omni serve`, at /v1/embeddings and /api/embed."
        elif brain.makes == "ranks" and not absent:
            helps = "Programs have it rank texts by `omni serve`, at /v1/rerank."
        raise NotFound(f"{brain.name} cannot be asked: {why.rstrip('.')}.", hint=brain.command or helps)
    return brain


async def brain_for_vectors(services: "Services", name: str) -> "Brain":
    """A brain that makes vectors; "" means the first that was made for them.

    One that is not here is fetched when there is a person who agrees. Raises NotFound, or BadFile for a bad file.
    """
    from omni.cartridges import EMBEDDER_HINT

    library = services.library
    if not name:
        if not (made := [brain for brain in await library.brains() if brain.embeds]):
            await library.looked()
            made = [brain for brain in await library.brains() if brain.embeds]
        if not made:
            raise NotFound("No brain is here yet that makes vectors.", hint=EMBEDDER_HINT)
        return made[0]
    brain = await (library.add(name) if is_file(name) else library.get(name))
    if brain.state == "available" and await _fetched(services, brain, f"{brain.name} is not here yet."):
        brain = await library.get(brain.name)
    if not (brain.usable or brain.embeds):
        absent = brain.state == "available"
        why = brain.reason or ("it is not here yet" if absent else f"it is {brain.state}")
        helps = f"`omni pull {brain.name}` fetches it ({size_words(brain.size)})." if absent else EMBEDDER_HINT
        raise NotFound(f"{brain.name} makes no vectors: {why.rstrip('.')}.", hint=brain.command or helps)
    return brain


async def tell_of_no_brain(services: "Services") -> None:
    """Say how to get a brain where none is here: who serves does not want to learn it from the first client."""
    await services.library.looked(begin=False)
    if not any(brain.askable for brain in await services.library.brains()):
        tell(f"no brain is here yet: `omni pull {STARTER}` fetches a small one")


def is_file(name: str) -> bool:
    """Whether a file is meant and not a name."""
    return name.startswith(("/", "./", "../", "~")) or (name.lower().endswith(".gguf") and Path(name).exists())


async def _fetched(services: "Services", brain: "Brain", sentence: str) -> bool:
    from omni.cli.pull import fetch

    size = f" ({size_words(brain.size)})" if brain.size else ""
    if not await agrees(f"{sentence} Download {brain.title or brain.name}{size} now?"):
        return False
    await fetch(services, brain.name)
    return True
