"""Every kind of file that Omni keeps in its home: whose it is, who may read it, and whether it may hold what a person wrote.

A file that is not here is nobody's: a test walks a home after a day's use and fails where it meets one. `docs/privacy.md`
has this table, `omni uninstall` its names. Standard library only.
"""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple


class Kind(NamedTuple):
    """A row. `path` is below the home: `*` stands for a part of one name, a last `**` for all that lies below."""

    path: str
    room: str  # which writes it
    what: str
    written: bool = False  # whether it may hold what a person wrote, or what was answered
    mode: int | None = 0o600  # None: as whoever made it left it (a package's program, a person's own file)


KINDS = (
    Kind("config.toml", "core", "settings", written=True),
    Kind("plugins.json", "core", "list of the plug-ins"),
    Kind("plugins", "environment", "link to the plug-ins in use", mode=None),
    Kind("plugin-sets/**", "environment", "plug-ins with their lock and wheels", mode=None),
    Kind("plugin-sets.lock", "environment", "held by who adds or removes one"),
    Kind("plugins/**", "core", "plug-ins that somebody put there by hand", mode=None),
    Kind("themes/*", "core", "a person's own themes", mode=None),
    Kind("logs/*.jsonl*", "core", "log of a front end: what it did, no texts"),
    Kind("logs/*.log", "keeper", "log of a process: what it did, no texts"),
    Kind("keeper.lock", "keeper", "held by the keeper that lives"),
    Kind("keeper.json", "keeper", "how to reach the keeper"),
    Kind("air-gap", "keeper", "is there while all doors are shut"),
    Kind("run/*.json", "keeper", "state of a running brain, with its key"),
    Kind("run/*.lock", "keeper", "held by airlock or installer"),
    Kind("audit/airlock-*.jsonl", "airlock", "record of connections"),
    Kind("audit/airlock.head", "airlock", "where the record ends"),
    Kind("audit/airlock*.jsonl", "airlock", "record of connections by earlier builds"),
    Kind("audit/airlock.lock", "airlock", "the same builds' lock"),
    Kind("hardware.json", "hardware", "measurements of this machine"),
    Kind("hardware.lock", "hardware", "held by who measures"),
    Kind("venv", "environment", "link to the environment in use", mode=None),
    Kind("venvs/**", "environment", "Python environments", mode=None),
    Kind("bin/omni", "environment", "the command omni", mode=0o755),
    Kind("setup.lock", "environment", "held by a set-up that runs"),
    Kind("setup.json", "environment", "how far it is"),
    Kind("cartridges/index.db*", "cartridges", "index of the brains"),
    Kind("cartridges/blobs/**", "cartridges", "brains"),
    Kind("cartridges/own/**", "cartridges", "a person's own manifests", written=True, mode=None),
    Kind("cartridges/pulls/**", "cartridges", "downloads that are not whole yet"),
    Kind("cartridges/locks/*.lock", "cartridges", "held by who uses or fetches a brain"),
    Kind("chat/omni.db*", "chat", "conversations", written=True),
    Kind("chat/writers/*", "chat", "held by who writes an answer"),
    Kind("server/keys.json", "server", "names and hashes of keys"),
    Kind("server/keys.lock", "server", "held by who changes them"),
    Kind("server/certificate.pem", "server", "the certificate of `omni serve --tls`"),
    Kind("server/certificate.key", "server", "its key"),
    Kind("server/responses.db*", "server", "answers that programs go on from", written=True),
    Kind("draft-*.md", "shell", "what was not sent when the shell ended", written=True),
    Kind("question-*.md", "shell", "what is open in an editor", written=True),
    Kind("copied.txt", "shell", "what was copied where the terminal takes no copies", written=True),
)

# What lies in a folder of the home, in a few words.
_FOLDERS = {
    "venvs": "Python environments",
    "bin": "the command omni",
    "logs": "logs",
    "cartridges": "brains",
    "chat": "conversations",
    "audit": "record of connections",
    "run": "state of running brains",
    "plugins": "link to the plug-ins",
    "plugin-sets": "plug-ins",
    "server": "keys, certificate and kept answers of the server",
}

# `core.files` writes beside a file, under such a name, and a kill may leave that behind.
_BESIDE = re.compile(r"\.(.+)\.(?:[0-9a-f]{8}|\d+)")


def what(name: str) -> str:
    """What a file or folder of this name in the home is, in a few words."""
    kind = kind_of(name)
    return _FOLDERS.get(name) or (kind.what if kind else "state")


def kind_of(path: str) -> Kind | None:
    """What a file of the home is, by its path below it; None for one that nobody knows. What a killed writer left beside a
    file is of that file's kind."""
    parts = path.split("/")
    if beside := _BESIDE.fullmatch(parts[-1]):
        return kind_of("/".join([*parts[:-1], beside[1]]))
    return next((kind for kind in KINDS if _is(parts, kind.path.split("/"))), None)


def _is(parts: list[str], pattern: list[str]) -> bool:
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        return len(parts) > len(pattern) and _is(parts[: len(pattern)], pattern)
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def table() -> str:
    """All of it for people, in Markdown."""
    rows = [
        f"| `{kind.path}` | {kind.what} | `{kind.room}` | {'yes' if kind.written else 'no'} | "
        f"{'as it was made' if kind.mode is None else f'{kind.mode:04o}'} |"
        for kind in KINDS
    ]
    return (
        "\n".join(["| file | what it is | written by | what you wrote | mode |", "|---|---|---|---|---|", *rows]) + "\n"
    )
