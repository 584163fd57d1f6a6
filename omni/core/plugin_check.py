"""The process that tries plug-ins: what it loads can harm nobody else. One order (JSON) on standard input, one answer on
standard output: `{"folder": …, "names": […]}` becomes a list of what `tried` returns.

`folder` is where packages of plug-ins lie besides those of this Python. Whatever a plug-in prints goes nowhere.
"""

import json
import os
import sys
from importlib.metadata import EntryPoint
from typing import Any

from omni.core import confinement
from omni.core.errors import OmniError
from omni.core.installed import GROUP, scan
from omni.core.plugins import HOOKS, Plugins
from omni.core.process_kinds import load_target, plain


def main() -> None:
    """Try what standard input names, behind the wall."""
    order = json.loads(sys.stdin.read())
    answer = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    confinement.confine()
    sys.path.append(order["folder"])
    listed = scan(sys.path)
    plugins = Plugins([EntryPoint(each.name, each.value, GROUP) for each in listed])
    results = [tried(plugins, name) for name in order["names"]]
    with os.fdopen(answer, "w") as file:
        json.dump(results, file)
    os._exit(0)  # a thread of a plug-in that hangs shall not be waited for


def tried(plugins: Plugins, name: str) -> dict[str, Any]:
    """Load one plug-in and ask all of its hooks: `name`, `problem` (why it does not load, or ""), and for each hook that it
    fills `{"adds": [what], "problem": …}`; `kinds` are the processes that it asks for, as plain values."""
    try:
        plugins.load(name)
    except OmniError as error:
        return {"name": name, "problem": error.message, "hooks": {}, "kinds": []}
    # That two are named alike was said by loading.
    result: dict[str, Any] = {"name": name, "problem": plugins.failures.pop(name, ""), "hooks": {}, "kinds": []}
    for hook in plugins.filled(name):
        plugins.failures.pop(name, None)
        items = [offer.item for offer in plugins.offers(hook) if offer.plugin == name]
        for item in items:
            _look_closer(plugins, name, hook, item)
        if hook == "omni_process_kinds":
            result["kinds"] = [plain(item) for item in items]
        adds = [str(_called(item)) for item in items]
        result["hooks"][hook] = {"adds": adds, "problem": plugins.failures.pop(name, "")}
    if not result["hooks"] and not result["problem"]:
        result["problem"] = f"The plug-in {name!r} fills no hook. There are: {', '.join(HOOKS)}."
    return result


def _look_closer(plugins: Plugins, name: str, hook: str, item: Any) -> None:
    """What only shows when it is used: a pane and a process are imported, a section has a default for everything."""
    try:
        if hook == "omni_panes":
            plugins.call(name, "load", item.load)
        elif hook == "omni_process_kinds":
            plugins.call(name, "load", load_target, item.target)
        elif hook == "omni_settings":
            plugins.call(name, "hook", item)
    except OmniError as error:
        plugins.failures[name] = error.message


def _called(item: Any) -> str:
    return str(getattr(item, "name", "") or getattr(item, "path", "") or getattr(item, "__name__", "") or "/")


if __name__ == "__main__":
    main()
