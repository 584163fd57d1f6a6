"""This machine in four lines, as the wizard, Home and System say it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.content import Content

from omni.core.words import size_words
from omni.shell.widgets import LineWidget, fitted, ink

if TYPE_CHECKING:
    from omni.hardware import HardwareProfile, MachineSample

_SHOWN = ("AVX-512", "AVX512", "VNNI", "AVX2", "NEON", "AMX")


def machine_lines(profile: "HardwareProfile", width: int) -> Iterable[Content]:
    """Processor, memory, graphics, disk: what it is, and what that means."""
    cpu, memory = profile.cpu, profile.memory
    named = [feature for feature in cpu.features if feature.upper().startswith(_SHOWN)]
    wide = any("512" in feature for feature in named)
    features = " ".join(feature for feature in named if not (wide and feature.upper() == "AVX2"))
    what = f"{cpu.name}, {cpu.usable} {'core' if cpu.usable == 1 else 'cores'}"
    if features:
        what += f", {features}"
    speed = f"{profile.bandwidth / 1e9:.0f} GB/s measured" if profile.bandwidth else "memory speed is being measured"
    if cpu.limited_by:
        speed = f"limited by {cpu.limited_by}"
    limit = f"a limit of {size_words(memory.limit)} holds here" if memory.limit else "no limit set"
    if profile.container:
        limit += f", in {profile.container}"
    rows = [
        ("Processor", what, speed),
        ("Memory", f"{size_words(memory.total)}, {size_words(memory.available)} free", limit),
    ]
    if not profile.gpus:
        rows.append(("Graphics", "none found", "brains run on the processor"))
    for gpu in profile.gpus:
        size = f", {size_words(gpu.memory)}" if gpu.memory else ""
        rows.append(("Graphics", f"{gpu.name}{size}", gpu.note or ("used" if gpu.used else "present, not used yet")))
    rows.append(("Disk", f"{size_words(profile.disk.free)} free", "brains need 0.1 to 40 GB"))
    room = max(len(row[1]) for row in rows)
    for name, fact, meaning in rows:
        line = ink((f"{name:<12}", "second"), (fact, "text"))
        if width - room - 15 >= 20:
            line = ink(line, " " * (room - len(fact) + 3), (meaning, "third"))
        yield fitted(line, width)


class MachineFacts(LineWidget):
    """The lines of this machine, as wide as there is room."""

    DEFAULT_CSS = "MachineFacts { height: auto; }"

    def __init__(self, *titles: Content, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._titles = titles
        self._profile: HardwareProfile | None = None
        self._looking = True

    def show(self, profile: "HardwareProfile") -> None:
        """Draw this machine from now on."""
        if profile != self._profile:
            if self._profile is not None:  # what is free was measured since this was read
                profile = replace(profile, memory=replace(profile.memory, available=self._profile.memory.available))
            self._profile = profile
            self.refresh(layout=True)

    def give_up(self) -> None:
        """Nobody looks any more; what is known stays."""
        self._looking = False
        self.refresh()

    def measured(self, reading: "MachineSample") -> None:
        """Say how much memory is free now."""
        if self._profile is not None and reading.memory_free:
            memory = replace(self._profile.memory, available=reading.memory_free)
            if size_words(memory.available) != size_words(self._profile.memory.available):
                self._profile = replace(self._profile, memory=memory)
                self.refresh()

    def lines(self, width: int, height: int) -> Iterable[Content]:  # noqa: ARG002
        """Titles and facts; before they are known that one looks."""
        if self._profile is None:
            words = "Looking at this machine …" if self._looking else "What this machine is could not be found out."
            return [*self._titles, ink((words, "third"))]
        return [*self._titles, *machine_lines(self._profile, max(30, width))]

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """One row a line."""
        return len(list(self.lines(width, 0)))
