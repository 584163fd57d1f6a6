"""The brain that an adapter was made for: the one that a person names, else the one that its own header names."""

import re
from collections.abc import Iterable
from pathlib import Path

from omni.cartridges._adapters import misfit
from omni.cartridges._ranking import quality
from omni.cartridges.brains import Brain
from omni.cartridges.gguf import GgufHeader, read_shapes
from omni.core.errors import BadFile, NotFound, UsageError

_QUANTISED = re.compile(r"[-_.:]?(gguf|(ud-)?i?q\d\w*|f16|bf16|f32)$", re.IGNORECASE)
_NAMED = 3  # brains that a hint names


def base_for(name: str, path: Path, header: GgufHeader, brains: Iterable[Brain], wanted: Brain | None) -> Brain:
    """The brain whose base the adapter at `path` goes with: `wanted`, else one that is here and that its header names. `name` is
    what a person types to pull it.

    Raises NotFound for a base that is not here, BadFile, which says what does not fit, for another one than it was made for,
    and UsageError where nobody says which. Blocking.
    """
    shapes = read_shapes(path)

    def wrong(brain: Brain) -> str:
        if brain.base is None:
            return "it has no base"
        if brain.base.header.architecture != header.architecture:
            return (
                f"its adapter is made for {header.architecture!r}, and its base is {brain.base.header.architecture!r}"
            )
        return misfit(shapes, Path(brain.base.path))

    if wanted is not None:
        check_here(name, wanted)
        if reason := wrong(wanted):
            raise BadFile(f"{name} does not go on {wanted.name}: {reason}.", hint=_made_for(header))
        return wanted
    here = [brain for brain in brains if brain.usable and not brain.shares and brain.adapter is None]
    named = [brain for brain in here if names_of(brain) & names(header.base_name, header.base_repository)]
    fitting = [brain for brain in here if not wrong(brain)]
    if both := [brain for brain in named if brain in fitting]:
        return max(both, key=quality)
    if named:
        raise BadFile(f"{name} does not go on {named[0].name}: {wrong(named[0])}.", hint=_made_for(header))
    others = ", ".join(brain.name for brain in fitting[:_NAMED])
    with_base = f"omni pull {name} --base BRAIN"
    if not header.base_name and not header.base_repository:
        raise UsageError(
            f"{name} is an adapter, and does not say which brain it was made for.",
            hint=f"Name it: `{with_base}`." + (f" Of its shape: {others}." if others else ""),
        )
    raise NotFound(
        f"{name} is an adapter for {header.base_name or header.base_repository}, which is not here.",
        hint=f"Pull that first, or name another one of its kind: `{with_base}`."
        + (f" Of its shape: {others}." if others else ""),
    )


def check_here(name: str, wanted: Brain) -> None:
    """Raise NotFound where the brain that `name` is to go on cannot be used."""
    if not wanted.usable or wanted.base is None:
        command = wanted.command or f"omni pull {wanted.name}"
        raise NotFound(f"{name} is to go on {wanted.name}, which cannot be used here.", hint=command)


def names(*texts: str) -> set[str]:
    """Names of a model as they are compared: without an owner, a quantisation, a case and marks between words."""
    plain = set()
    for text in texts:
        word = text.rpartition("/")[2]
        while (shorter := _QUANTISED.sub("", word)) != word:
            word = shorter
        plain.add(re.sub(r"[^a-z0-9]+", "", word.lower()))
    return plain - {""}


def names_of(brain: Brain) -> set[str]:
    """What a brain's base is called: by its file, by where it came from, and by its cartridge."""
    header = brain.base.header if brain.base is not None else None
    said = [header.name, f"{header.name} {header.size_label}"] if header is not None and header.name else []
    repository = getattr(brain.manifest.base, "repository", "") if brain.manifest is not None else ""
    return names(*said, brain.name if not brain.name.startswith("@") else "", repository)


def _made_for(header: GgufHeader) -> str:
    named = header.base_repository or header.base_name
    return f"It was made for {named}." if named else "Name the brain that it was trained on: --base BRAIN"
