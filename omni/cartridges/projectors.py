"""The projectors ("mmproj" files) that let a brain see: which of the files around a model is its own, and whether it fits.

Names are looked at first, because nothing in a projector says which model it was trained with; then the header, where
the width of what it gives must be that of what the model takes.
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

import msgspec

from omni.cartridges.gguf import GgufHeader, read_header
from omni.cartridges.inspection import model_stem
from omni.core.errors import OmniError

BEST = ("F16", "Q8_0", "BF16", "F32")  # of the forms that a projector is offered in; any is better than none
ROOM = 512 << 20  # beside its weights: 400 MB while the largest images are decoded, and what looking at one takes

_QUANT = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|F16|F32|FP16|MXFP4(?:_MOE)?|NVFP4))(?=$|[-._])",
    re.IGNORECASE,
)
_PLAIN = ("", "model")  # names of projectors that tell nothing


class Projector(msgspec.Struct, frozen=True, kw_only=True):
    """The projector of a base: its file, and what kind of projector llama.cpp calls it. `sha256` where it is known."""

    path: str
    size: int
    kind: str = ""
    sha256: str | None = None

    @property
    def looks_at_once(self) -> bool:
        """Whether the tokens of an image look at each other, and must be read in one batch."""
        return self.kind.startswith("gemma3") or self.kind.startswith("gemma4")

    @property
    def there(self) -> bool:
        """Whether its file still is, as far as its size tells. Looks at the disk."""
        try:
            return Path(self.path).stat().st_size == self.size
        except OSError:
            return False

    @property
    def memory(self) -> int:
        """Bytes that a worker needs for it."""
        return self.size + ROOM


def is_projector(name: str) -> bool:
    """Whether a file of this name is taken for a projector."""
    return "mmproj" in name.lower()


def beside(model: str, names: Iterable[str]) -> str:
    """The projector among the `names` (paths) that belongs to the `model` among them; "" when none does, or nobody knows.

    It lies in the model's folder, and is named after it; where all models of the folder are one, any name will do.
    """
    folder = PurePath(model).parent
    near = [name for name in names if PurePath(name).parent == folder and name.lower().endswith(".gguf")]
    projectors = [name for name in near if is_projector(name)]
    if not projectors or is_projector(model):
        return ""
    own = _family(model)
    named = [
        name
        for name in projectors
        if own and (family := _family(name)) not in _PLAIN and (family in own or own in family)
    ]
    if len({_family(name) for name in named}) > 1:
        named = [name for name in named if _family(name) == own]
    elif not named and {_family(name) for name in near if not is_projector(name)} <= {own}:
        named = projectors
    return min(named, key=_rank, default="")


def in_repository(model: str, names: Iterable[str]) -> str:
    """The same in a repository of one model, where projectors may lie above the folders of its quantisations."""
    names = list(names)
    if (projector := beside(model, names)) or "/" not in model:
        return projector
    return min((name for name in names if "/" not in name and is_projector(name)), key=_rank, default="")


def look(path: str | Path, model: GgufHeader, *, sha256: str | None = None) -> tuple[Projector | None, str]:
    """The projector at `path` for `model`, or why it cannot be used."""
    name = Path(path).name
    try:
        header = read_header(path)
    except OmniError as error:
        return None, f"its projector cannot be used: {error.message.rstrip('.')}"
    if header.kind != "mmproj":
        return None, f"{name} is no projector"
    if not header.vision:
        return None, f"{name} is for sound, not for images"
    if header.width and model.width and header.width != model.width:
        return None, f"{name} was made for another model: it gives {header.width} numbers a token, not {model.width}"
    if header.unknown_types:
        return None, f"{name} has weights of a kind that this engine does not know"
    return Projector(path=str(path), size=header.file_bytes, kind=header.projector, sha256=sha256), ""


def unfit(projector: Projector) -> str:
    """Why a base does without eyes with which its worker ended: what says so says of which."""
    return f"its projector ended the engine ({Path(projector.path).name}, {projector.size:,} bytes)"


def _family(name: str) -> str:
    """What a file's name says of which model it is, without the quantisation and all that is between words."""
    stem = model_stem(PurePath(name).name).lower().replace("mmproj", "")
    return re.sub(r"[^a-z0-9]", "", _QUANT.sub("", stem))


def _rank(name: str) -> tuple[int, str]:
    quants = _QUANT.findall(model_stem(PurePath(name).name))
    quant = quants[-1].upper().replace("FP16", "F16") if quants else ""
    return (BEST.index(quant) if quant in BEST else len(BEST)), name
