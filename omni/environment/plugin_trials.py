"""Loading plug-ins in a process of their own, to see what they add and what is wrong with them."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omni.core.errors import SetupError
from omni.core.paths import python_command
from omni.core.process_kinds import GrantedKind, asked_for

PATIENCE = 90.0  # seconds for that process, which has limits of its own for each plug-in and hook


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginTrial:
    """What was seen: why a plug-in does not load ("" when it does), what it adds by each hook, what is wrong there, and
    which processes of its own it asks for."""

    name: str
    problem: str
    adds: dict[str, list[str]]
    problems: dict[str, str]
    kinds: list[GrantedKind] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem and not self.problems


def try_plugins(folder: Path, names: Sequence[str], *, patience: float = PATIENCE) -> list[PluginTrial]:
    """Load plug-ins behind the wall, and ask each hook. `folder` is where their packages lie besides this Python's.

    Raises SetupError when the process dies or does not end within `patience` seconds, which a
    plug-in in it did; UsageError for processes that nobody can have.
    """
    order = json.dumps({"folder": str(folder), "names": list(names)})
    listed = ", ".join(names)
    try:
        done = subprocess.run(
            python_command("omni.core.plugin_check"),
            input=order.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"The process that loaded {listed} did not end within {patience:.0f} s.") from error
    try:
        return [
            PluginTrial(
                name=each["name"],
                problem=each["problem"],
                adds={hook: facts["adds"] for hook, facts in each["hooks"].items()},
                problems={hook: facts["problem"] for hook, facts in each["hooks"].items() if facts["problem"]},
                kinds=[asked_for(each["name"], row) for row in each["kinds"]],  # it has run code of the plug-in
            )
            for each in json.loads(done.stdout)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        words = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
        raise SetupError(f"The process that loaded {listed} {words}, without an answer.") from error
