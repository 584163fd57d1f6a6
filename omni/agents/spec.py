"""An agent: a Markdown file whose front matter says what it may use, and whose text tells the brain what it is.

---
about: Answers questions about this project, and changes nothing.
tools: [read_file, list_files, search]
steps: 20
---
You explain code ...
"""

import re
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from omni.core.errors import BadFile, UsageError, nearest
from omni.core.located.conversion import convert
from omni.core.located.tree import FileSource
from omni.core.located.yaml_reader import read_yaml
from omni.hands import HandTool, all_tools

MEND, ASK_BRAIN = "mend_symbol", "ask_brain"  # they need a brain: see `omni.agents.attempts` and `omni.agents.asking`
LARGEST = 64 << 10  # bytes of such a file
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}", re.ASCII)
_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_HINT = "It begins with a line ---, then `about: …` and `tools: […]`, a line --- again, and what the brain is told."


class AgentSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent is. `brain` is "" for the one that answers otherwise; `forced` makes each step a call, as small brains need it;
    `check` is a command line that must succeed before an answer counts; "auto" for the tests of the project. With
    `checks_first` it is run before the brain is asked."""

    about: Annotated[str, Meta(min_length=1, max_length=300)]
    tools: tuple[str, ...]
    brain: str = ""
    steps: Annotated[int, Meta(ge=1, le=500)] = 30
    minutes: Annotated[float, Meta(gt=0, le=1440)] = 30.0
    forced: bool = True
    check: str = ""
    checks_first: bool = False
    name: str = ""
    prompt: str = ""
    path: str = ""


def read_agent(path: Path) -> AgentSpec:
    """The agent that a file says. Raises BadFile with line and column of what is wrong; blocking."""
    source = FileSource(f"The agent {path}", BadFile, _HINT)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BadFile(f"The agent {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"The agent {path} is no text in UTF-8.") from error
    if len(data) > LARGEST:
        raise BadFile(f"The agent {path} is larger than {LARGEST >> 10} kB.")
    if not NAME.fullmatch(path.stem):
        raise BadFile(f"{path.stem!r} is no name of an agent: it has small letters, digits and hyphens.")
    front = _FRONT.match(text)
    if front is None:
        raise BadFile(f"The agent {path} has no front matter.", hint=_HINT)
    spec = convert(read_yaml(f"\n{front[1]}", source), AgentSpec)  # lines count from the one with ---
    tools_named(spec.tools, str(path))
    return replace(spec, name=path.stem, prompt=text[front.end() :].strip(), path=str(path))


def tools_named(names: tuple[str, ...], where: str) -> tuple[HandTool, ...]:
    """The tools of these names, but for those that need a brain. Raises UsageError for one that there is not."""
    known = all_tools()
    every = (*known, MEND, ASK_BRAIN)
    for name in names:
        if name not in every:
            hint = nearest(name, every) or f"There is: {', '.join(every)}."
            raise UsageError(f"{where} names a tool {name!r}, which there is not.", hint=hint)
    return tuple(known[name] for name in dict.fromkeys(names) if name in known)
