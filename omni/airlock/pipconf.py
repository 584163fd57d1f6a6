"""What the user told pip: its configuration files and `PIP_*`, with pip's own precedence. pip itself is not imported.

Lowest first: global files, the user's (legacy place, then the new one), the environment's (`PREFIX/pip.conf`), the file
that `PIP_CONFIG_FILE` names, `PIP_*` variables. Among sections a command's own one beats `[global]`, wherever it stands.
Source: pip's user guide, "Configuration", and pip/_internal/configuration.py.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omni.core.errors import SetupError

_SECTIONS = ("global", "download", "install")  # a later one wins: what people set for installing is what they mean
_ALIASES = {"pypi-url": "index-url", "default-timeout": "timeout"}
_MAX_BYTES = 1 << 20  # of one configuration file


def config_files(
    environment: Mapping[str, str], prefixes: Sequence[str] | None = None, *, root: str = "/"
) -> Iterator[Path]:
    """The files pip would read, least important first; they need not exist.

    `prefixes` are the environments looked into (default: those of this Python and of `VIRTUAL_ENV`); `root` stands for
    the root of the file system.
    """
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    top = Path(root)
    mac = os.uname().sysname == "Darwin"
    if mac:
        yield top / "Library/Application Support/pip/pip.conf"
    else:
        for folder in (environment.get("XDG_CONFIG_DIRS") or str(top / "etc/xdg")).split(os.pathsep):
            yield Path(folder) / "pip/pip.conf"
        yield top / "etc/pip.conf"
    if not (named and Path(named).exists()):  # pip's rule: naming a file leaves the user's out
        yield home / ".pip/pip.conf"
        newer = home / "Library/Application Support/pip"
        if not (mac and newer.is_dir()):
            newer = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
        yield newer / "pip.conf"
    if prefixes is None:
        prefixes = [sys.base_prefix, environment.get("VIRTUAL_ENV", ""), sys.prefix]
    for prefix in dict.fromkeys(filter(None, prefixes)):
        yield Path(prefix) / "pip.conf"
    if named:
        yield Path(named)


def options(
    environment: Mapping[str, str], prefixes: Sequence[str] | None = None, *, root: str = "/"
) -> dict[str, str]:
    """pip's options by their long names (`index-url`); values as written, an empty one counts as not set.

    Raises SetupError, naming the file, when one cannot be parsed.
    """
    merged: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for path in config_files(environment, prefixes, root=root):
        for section, values in _read(path).items():
            if section in merged:
                merged[section].update(values)
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        settings.update({name: value for name, value in merged[section].items() if value})
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            settings[_name(name[4:])] = value
    settings.pop("config-file", None)
    return settings


def parse(text: str, name: str) -> dict[str, dict[str, str]]:
    """One file's sections; `name` stands in the message of the SetupError that text which is no INI raises."""
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        parser.read_string(text, name)
    except Error as error:
        line = getattr(error, "lineno", None) or next((number for number, _ in getattr(error, "errors", ())), None)
        place = f"{name}, line {line}" if line else name
        raise SetupError(
            f"{place}: pip's configuration cannot be read.", hint="`pip config debug` shows what pip makes of it."
        ) from None  # the cause quotes the line, which may hold a password
    return {section: {_name(key): value for key, value in parser.items(section)} for section in parser.sections()}


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError:
        return {}  # absent, or not ours to read: pip goes on too
    if len(data) > _MAX_BYTES:
        raise SetupError(f"{path} is too large to be pip's configuration.")
    return parse(data.decode("utf-8-sig", "replace"), str(path))


def _name(key: str) -> str:
    name = key.lower().replace("_", "-").removeprefix("--")
    return _ALIASES.get(name, name)
