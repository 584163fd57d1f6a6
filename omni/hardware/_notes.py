"""What was measured on this machine once and is worth remembering, in one small JSON file."""

from collections.abc import Callable

import msgspec

from omni.core.files import write_atomic
from omni.core.locks import locked
from omni.core.paths import Home

ALIKE = 0.1  # of a speed: what answers of one base differ by on a quiet machine


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Measured tokens per second of one base: of its answers, and of reading prompts (0: not measured)."""

    answer: float
    prompt: float = 0.0


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """Everything remembered. `bandwidth` is bytes a second; `speeds` is keyed by the id of a base."""

    bandwidth: float | None = None
    processor: str = ""
    speeds: dict[str, Speed] = {}

    @classmethod
    def load(cls, home: Home) -> "Notes":
        """Read the file; one that is missing or unreadable is as good as none, since all in it can be measured again."""
        try:
            return msgspec.json.decode(home.hardware.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return cls()


def remember_bandwidth(home: Home, bandwidth: float, processor: str) -> None:
    """Keep the measured bandwidth, and the processor it holds for (a home can move to another machine)."""
    _change(home, lambda notes: msgspec.structs.replace(notes, bandwidth=bandwidth, processor=processor))


def remember_speed(home: Home, base_id: str, answer: float, prompt: float = 0.0) -> None:
    """Keep how fast a base really answered; shown instead of the estimate from then on. What is known well enough is
    not written again: every answer measures, and whoever asked waits for the disk."""
    known = Notes.load(home).speeds.get(base_id)
    if answer <= 0 or (
        known is not None and _near(answer, known.answer) and _near(prompt or known.prompt, known.prompt)
    ):
        return

    def change(notes: Notes) -> Notes:
        old = notes.speeds.get(base_id)
        speed = Speed(answer=answer, prompt=prompt or (old.prompt if old else 0.0))
        return msgspec.structs.replace(notes, speeds=notes.speeds | {base_id: speed})

    _change(home, change)


def _near(new: float, old: float) -> bool:
    return abs(new - old) <= ALIKE * old


def _change(home: Home, change: Callable[[Notes], Notes]) -> None:
    with locked(home.hardware_lock):
        write_atomic(home.hardware, msgspec.json.format(msgspec.json.encode(change(Notes.load(home))), indent=2))
