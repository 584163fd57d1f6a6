"""Where agents are found: those that come with Omni, and the person's own, which win when they share a name.

Those of a project are not taken: a stranger's repository would decide what a brain is told and may do.
"""

from collections.abc import Iterator
from pathlib import Path

from omni.agents.spec import AgentSpec, read_agent
from omni.core.errors import NotFound, OmniError, nearest
from omni.core.paths import Home, resources


class AgentBook:
    """The agents of a home."""

    def __init__(self, home: Home) -> None:
        self._folders = (home.agents(), resources("agents"))

    def names(self) -> list[str]:
        """Their names."""
        return sorted({path.stem for path in self._files()})

    def get(self, name: str) -> AgentSpec:
        """The agent of that name. Raises NotFound, or BadFile for one that cannot be read; blocking."""
        path = next((path for path in self._files() if path.stem == name), None)
        if path is None:
            known = self.names()
            raise NotFound(
                f"There is no agent {name!r}.", hint=nearest(name, known) or f"There is: {', '.join(known)}."
            )
        return read_agent(path)

    def all(self) -> "tuple[list[AgentSpec], list[OmniError]]":
        """All that can be read, and what is wrong with the others; blocking."""
        specs, wrong = list[AgentSpec](), list[OmniError]()
        for name in self.names():
            try:
                specs.append(self.get(name))
            except OmniError as error:
                wrong.append(error)
        return specs, wrong

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            if folder.is_dir():
                yield from sorted(folder.glob("*.md"))
