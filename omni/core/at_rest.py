"""Every kind of file that Omni keeps in its home: whose it is, who may read it, and whether it may hold what a person wrote.

A file that is not here is nobody's: a test walks a home after a day's use and fails where it meets one. `docs/privacy.md`
has this table, `omni uninstall` its names. Standard library only.
"""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple


class FileKind(NamedTuple):
    """A row. `path` is below the home: `*` stands for a part of one name, a last `**` for all that lies below."""

    path: str
    room: str  # which writes it
    what: str
    written: bool = False  # whether it may hold what a person wrote, or what was answered
    mode: int | None = 0o600  # None: as whoever made it left it (a package's program, a person's own file)


KINDS = (
    FileKind("config.toml", "core", "settings", written=True),
    FileKind("plugins.json", "core", "list of the plug-ins"),
    FileKind("plugins", "environment", "link to the plug-ins in use", mode=None),
    FileKind("plugin-sets/**", "environment", "plug-ins with their lock and wheels", mode=None),
    FileKind("plugin-sets.lock", "environment", "held by who adds or removes one"),
    FileKind("features/**", "environment", "packages of features on demand", mode=None),
    FileKind("features.lock", "environment", "held by who adds or removes one"),
    FileKind("plugins/**", "core", "plug-ins that somebody put there by hand", mode=None),
    FileKind("agents/*", "agents", "a person's own agents", written=True, mode=None),
    FileKind("themes/*", "core", "a person's own themes", mode=None),
    FileKind("logs/*.jsonl*", "core", "log of a front end: what it did, no texts"),
    FileKind("logs/helper-*.log", "keeper", "what a plug-in's process prints and raises", written=True),
    FileKind("logs/*.log", "keeper", "log of a process: what it did, no texts"),
    FileKind("keeper.lock", "keeper", "held by the keeper that lives"),
    FileKind("keeper.json", "keeper", "how to reach the keeper"),
    FileKind("air-gap", "keeper", "is there while all doors are shut"),
    FileKind("run/*.json", "keeper", "state of a running brain, with its key"),
    FileKind("run/*.lock", "keeper", "held by airlock or installer"),
    FileKind("consent.json", "hands", "rules of what may be done without asking", written=True),
    FileKind("consent.lock", "hands", "held by who changes them"),
    FileKind("changes/*/*.json", "hands", "changes that tools made to files", written=True),
    FileKind("changes/*/lock", "hands", "held by who makes one"),
    FileKind("changes/contents/*", "hands", "what those files held before and after", written=True),
    FileKind("artifacts/*", "hands", "results of tools that were too long for a brain", written=True),
    FileKind("audit/consent-*.jsonl", "hands", "record of what was asked, allowed and done", written=True),
    FileKind("audit/consent.head", "hands", "where that record ends"),
    FileKind("audit/airlock-*.jsonl", "airlock", "record of connections"),
    FileKind("audit/airlock.head", "airlock", "where the record ends"),
    FileKind("audit/airlock*.jsonl", "airlock", "record of connections by earlier builds"),
    FileKind("audit/airlock.lock", "airlock", "the same builds' lock"),
    FileKind("engines/*/engine.json", "runtimes", "what an added engine is"),
    FileKind("engines/*/tried.json", "runtimes", "what trials of an engine found out"),
    FileKind("engines/**", "runtimes", "programs of engines", mode=None),
    FileKind("engines.lock", "runtimes", "held by who changes those"),
    FileKind("engine-builds/**", "runtimes", "what a build of an engine has made so far", mode=None),
    FileKind("hardware.json", "hardware", "measurements of this machine"),
    FileKind("hardware.lock", "hardware", "held by who measures"),
    FileKind("venv", "environment", "link to the environment in use", mode=None),
    FileKind("venvs/**", "environment", "Python environments", mode=None),
    FileKind("bin/omni", "environment", "the command omni", mode=0o755),
    FileKind("setup.lock", "environment", "held by a set-up that runs"),
    FileKind("setup.json", "environment", "how far it is"),
    FileKind("cartridges/index.db*", "cartridges", "index of the brains"),
    FileKind("cartridges/blobs/**", "cartridges", "brains"),
    FileKind("cartridges/own/**", "cartridges", "a person's own manifests", written=True, mode=None),
    FileKind("cartridges/pulls/**", "cartridges", "downloads that are not whole yet"),
    FileKind(
        "cartridges/quantised/*", "runtimes", "reports of quantisations, with the text that measured them", written=True
    ),
    FileKind("cartridges/locks/*.lock", "cartridges", "held by who uses or fetches a brain"),
    FileKind("prefixes/*", "engine", "what brains' own prompts become inside an engine"),
    FileKind("chat/omni.db*", "chat", "conversations", written=True),
    FileKind("chat/writers/*", "chat", "held by who writes an answer"),
    FileKind("server/keys.json", "server", "names and hashes of keys"),
    FileKind("server/keys.lock", "server", "held by who changes them"),
    FileKind("server/certificate.pem", "server", "the certificate of `omni serve --tls`"),
    FileKind("server/certificate.key", "server", "its key"),
    FileKind("server/responses.db*", "server", "answers that programs go on from", written=True),
    FileKind("draft-*.md", "shell", "what was not sent when the shell ended", written=True),
    FileKind("question-*.md", "shell", "what is open in an editor", written=True),
    FileKind("copied.txt", "shell", "what was copied where the terminal takes no copies", written=True),
)

# What lies in a folder of the home, in a few words.
_FOLDERS = {
    "venvs": "Python environments",
    "bin": "the command omni",
    "logs": "logs",
    "cartridges": "brains",
    "chat": "conversations",
    "prefixes": "what brains' own prompts become",
    "audit": "records of connections and of what was allowed",
    "changes": "changes that tools made to files",
    "artifacts": "long results of tools",
    "run": "state of running brains",
    "engines": "engines that were added",
    "engine-builds": "engines that are being built",
    "plugins": "link to the plug-ins",
    "plugin-sets": "plug-ins",
    "features": "features on demand",
    "server": "keys, certificate and kept answers of the server",
}

# `core.files` writes beside a file, under such a name, and a kill may leave that behind.
_BESIDE = re.compile(r"\.(.+)\.(?:[0-9a-f]{8}|\d+)")


def what(name: str) -> str:
    """What a file or folder of this name in the home is, in a few words."""
    kind = kind_of(name)
    return _FOLDERS.get(name) or (kind.what if kind else "state")


def kind_of(path: str) -> FileKind | None:
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
