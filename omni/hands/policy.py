"""What a command in the sandbox may read, write and take. Reading is a list, never the home as a whole; writing is the project."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from omni.core.errors import NotFound, UsageError
from omni.core.files import replacing

# What programs need of the system. Of /etc what says how things are named here, and no file that has a secret.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/home/linuxbrew/.linuxbrew", "/proc", "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup", "/System", "/Library")  # fmt: skip
SYSTEM_SETTINGS = ("alternatives", "ca-certificates", "ca-certificates.conf", "debian_version", "fonts", "gitconfig", "group", "host.conf", "hostname", "hosts", "inputrc", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "locale.alias", "locale.conf", "lsb-release", "mime.types", "nsswitch.conf", "os-release", "passwd", "perl", "php", "pki", "profile", "protocols", "python3", "resolv.conf", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone", "xdg")  # fmt: skip
# Below a person's home: what is a compiler, an interpreter or a library, and nothing that logs in anywhere.
TOOLCHAINS = (".pyenv", ".nvm/versions", ".fnm", ".volta/tools", ".volta/bin", ".asdf/installs", ".asdf/shims", ".local/share/mise/installs", ".local/share/uv/python", ".local/share/uv/tools", ".local/share/pnpm", ".rustup/toolchains", ".cargo/bin", ".cargo/registry", "go/pkg/mod", "go/bin", ".sdkman/candidates", ".deno/bin", ".bun/bin", ".rbenv/versions", ".rbenv/shims", ".ghcup/bin", "miniconda3", "miniforge3", "anaconda3", ".local/bin", ".local/lib")  # fmt: skip
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")
COVERED = (*TEMPORARY, "/var", "/run", "/root", "/home", "/mnt", "/media", "/srv")
SYSTEM_TOPS = ("bin", "sbin", "usr", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "dev", "proc", "sys", "System", "Library")  # fmt: skip
SHARED = tuple(Path(one) for one in ("/", *COVERED, *(f"/{top}" for top in SYSTEM_TOPS)))
SECRETS = (".env", ".netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd", "credentials.json", "service-account.json", "secrets.toml", "secrets.yaml", "secrets.yml", ".git-credentials", "credentials", ".envrc", ".vault_pass")  # fmt: skip
SECRET_BEGINNINGS = (".env.", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519")
SECRET_ENDINGS = (".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".tfvars", ".env")
EXAMPLES = (".example", ".sample", ".template", ".dist")  # of such files, with nothing in them
LOOKED_THROUGH = 100_000  # entries of a project, for secrets
_HOOKS_PATH = re.compile(r"^\s*hookspath\s*=\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_MODULES = 1000  # of a repository, whose hooks are looked for
# What of a repository would run something outside when the person uses git, or says where git finds that.
_GIT_FIXED = ("hooks", "config", "config.worktree", "commondir", "info/attributes")


class SandboxPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one command gets. All paths are absolute and hold no links.

    `read` may be looked at and executed, `write` changed as well; `fixed` lies below that and stays as it is, `pinned` is not moved,
    `hidden` is not there (`unseen`: why not all of that is known). In `guarded` folders no file `commondir` is left.
    `covered` are folders of which only what is listed is seen, `temporary` those of them that are its own to write. `cwd` is where it
    begins, `scratch` its home. Limits: `seconds` of the clock, `memory` in
    bytes for each process, `processes` at a time, `output` in bytes of both streams together. `required` names layers without which
    nothing is run.
    """

    cwd: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    unseen: str = ""
    covered: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    scratch: str
    environment: Mapping[str, str]
    seconds: float = 600.0
    memory: int = 4 << 30
    processes: int = 301
    output: int = 16 << 20
    required: tuple[str, ...] = ()


def project_of(folder: Path) -> Path:
    """The project that a folder belongs to: the nearest one above it with a `.git`, or the folder itself. Raises NotFound."""
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.")
    folder = folder.resolve()
    return next((one for one in (folder, *folder.parents) if _is_ours(one / ".git")), folder)


def policy_for(
    folder: Path,
    scratch: Path,
    *,
    home: Path,
    omni: Path,
    outside: Mapping[str, str],
    read: Iterable[Path] = (),
    write: Iterable[Path] = (),
    seconds: float = 600.0,
) -> SandboxPolicy:
    """What a command in `folder` gets: the system, toolchains that are here, the project, and `scratch`, which is its home. `home` is
    the person's, `omni` Omni's own, `outside` the environment that the person has.

    Raises UsageError where the project would be the person's home as a whole, or all that Omni keeps.
    """
    project, scratch, home, omni = project_of(folder), scratch.resolve(), home.resolve(), omni.resolve()
    more = [path.resolve() for path in write]
    for path in (project, *more, *(one.resolve() for one in read)):
        if path in SHARED:
            raise UsageError(f"{path} belongs to everybody, and is no project.", hint="Go to the folder of a project.")
        if path in (home, omni, *home.parents, *omni.parents) or omni in path.parents:
            raise UsageError(
                f"{path} holds your home, or all that Omni keeps, and a command in the sandbox gets neither.",
                hint="Go to the folder of a project, or make one with `git init`.",
            )
    git = _git_folders(project)
    writable = [project, scratch, *more, *git]
    toolchains = _existing(home / one for one in TOOLCHAINS)
    readable = [
        *(Path(one) for one in SYSTEM),
        *(Path("/etc") / one for one in SYSTEM_SETTINGS),
        *toolchains,
        *_interpreters(outside, writable=writable, not_one=(home, *home.parents, omni)),
        *(one.resolve() for one in read),
    ]
    shown = _existing([*readable, *writable])
    secrets, whole = secrets_of(project)
    repositories = [*(top / ".git" for top in (project, *more)), *git]
    fixed = [*_fixed(repositories, writable), *(one for one in _own_code() if project in one.parents)]
    return SandboxPolicy(
        cwd=str(folder.resolve()),
        read=tuple(map(str, _existing(readable))),
        write=tuple(map(str, _existing(writable))),
        fixed=tuple(map(str, fixed)),
        pinned=tuple(map(str, _on_the_way(fixed, writable))),
        guarded=tuple(str(one) for one in repositories if one.is_dir()),
        hidden=tuple(map(str, secrets)),
        unseen=""
        if whole
        else f"the project has more than {LOOKED_THROUGH:,} entries, of which not all were looked at",
        covered=tuple(str(one) for one in _existing([*_not_of_the_system(), *map(Path, COVERED), home, omni])),
        temporary=tuple(str(one) for one in _existing(map(Path, TEMPORARY))),
        scratch=str(scratch),
        environment=environment(outside, scratch, shown),
        seconds=seconds,
    )


def environment(outside: Mapping[str, str], scratch: Path, shown: Iterable[Path]) -> dict[str, str]:
    """The environment of a command: made anew, with nothing of the person's but the language and those folders of PATH that are
    `shown`."""
    visible = [Path("/usr"), Path("/bin"), Path("/sbin"), *shown]
    folders = [Path(one) for one in outside.get("PATH", "").split(os.pathsep) if one.startswith("/")]
    usable = [
        one
        for one in folders
        if os.access(real := one.resolve(), os.X_OK, effective_ids=True)
        and any(top in (real, *real.parents) for top in visible)
    ]
    path = dict.fromkeys([*map(str, usable), "/usr/local/bin", "/usr/bin", "/bin"])
    made = {
        "PATH": os.pathsep.join(path),
        "HOME": str(scratch),
        "TMPDIR": "/tmp",
        "LANG": outside.get("LC_ALL") or outside.get("LANG") or "C.UTF-8",
        "TERM": "dumb",
        "USER": outside.get("USER", "user"),
        "GIT_TERMINAL_PROMPT": "0",
        "PIP_NO_INPUT": "1",
    }
    virtual = outside.get("VIRTUAL_ENV", "")
    if virtual and any(top in (Path(virtual).resolve(), *Path(virtual).resolve().parents) for top in visible):
        made["VIRTUAL_ENV"] = virtual
    return made


def give_identity(scratch: Path, name: str, email: str) -> None:
    """Write who commits into the home of a command; nothing else of a person's configuration of git is there."""
    if name or email:
        lines = [f"\t{key} = {_quoted(value)}\n" for key, value in (("name", name), ("email", email)) if value]
        with replacing(scratch / ".gitconfig", durable=False) as file:
            file.write(("[user]\n" + "".join(lines)).encode())


def shell_command(command: str) -> list[str]:
    """The arguments that run a command line: by a shell that reads no file of the person's first. Raises NotFound."""
    if (shell := shutil.which("bash", path="/usr/local/bin:/usr/bin:/bin")) is None:
        raise NotFound("There is no bash here, which runs commands in the sandbox.", hint="Install it.")
    return [shell, "--norc", "--noprofile", "-c", command]


def secrets_of(project: Path) -> tuple[list[Path], bool]:
    """Files of a project that log in somewhere, by their names, and whether all of it was looked at."""
    secrets: list[Path] = []
    seen = 0
    for folder, folders, files in os.walk(project):
        folders[:] = sorted(one for one in folders if one != ".git")
        named = (Path(folder, name).resolve() for name in sorted(files) if is_secret(name))
        secrets.extend(place for place in named if place.is_file() and project in place.parents)
        seen += len(files) + len(folders)
        if seen > LOOKED_THROUGH:
            return secrets, False
    return secrets, True


def is_secret(name: str) -> bool:
    """Whether a file of this name holds keys or passwords, as files of this name do."""
    lower = name.lower()
    if lower.endswith((*EXAMPLES, ".pub")):
        return False
    return lower in SECRETS or lower.startswith(SECRET_BEGINNINGS) or lower.endswith(SECRET_ENDINGS)


def _interpreters(outside: Mapping[str, str], *, writable: Sequence[Path], not_one: Sequence[Path]) -> list[Path]:
    """The folders of the Python that runs this, and of the environment that is active, with the Python that this was made with. An
    environment that a command may write to names nothing: it could lead anywhere."""
    folders, virtual = [Path(sys.base_prefix)], Path(outside.get("VIRTUAL_ENV") or "/nowhere").resolve()
    if os.access(virtual / "pyvenv.cfg", os.R_OK, effective_ids=True) and not any(
        top in (virtual, *virtual.parents) for top in writable
    ):
        folders += [virtual, (virtual / "bin" / "python").resolve().parent.parent]
    return [real for one in folders if (real := one.resolve()) not in not_one]


def _git_folders(project: Path) -> list[Path]:
    """The repository of a project that is a worktree of it: its `.git` is a file that names a folder in there.

    A stranger's project may say anything in that file. What it names must lie where git keeps its worktrees in a repository, and name
    the project in return: only who may write to that repository can have made it.
    """
    try:
        text = (project / ".git").read_text("utf-8") if (project / ".git").is_file() else ""
        kept = (project / text.removeprefix("gitdir:").strip()).resolve()
        if not text.startswith("gitdir:") or kept.parent.name != "worktrees" or project in kept.parents:
            return []
        repository = kept.parent.parent
        back = Path((kept / "gitdir").read_text("utf-8").strip()).parent.resolve()
    except (OSError, ValueError):
        return []
    return [repository] if back == project and (repository / "objects").is_dir() else []


def _fixed(repositories: Iterable[Path], writable: Sequence[Path]) -> Iterator[Path]:
    """What runs something when the person uses git there next, and the files that name a worktree's repository."""
    for top in repositories:
        if top.is_file():
            yield top
        else:
            yield from _git_fixed(top)
            yield from (folder for folder in _hooks_elsewhere(top) if any(one in folder.parents for one in writable))


def _git_fixed(top: Path) -> list[Path]:
    """What of a repository runs something, that of its modules and worktrees included. An empty folder for hooks is made where there is
    none, as `git init` does: only what is there can be kept."""
    modules = sorted(path.parent for path in islice((top / "modules").rglob("HEAD"), _MODULES)) if top.is_dir() else []
    trees = sorted(path.parent for path in islice(top.glob("worktrees/*/commondir"), _MODULES))
    for folder in (top, *modules):
        if (folder / "config").is_file():
            with suppress(OSError):
                (folder / "hooks").mkdir(exist_ok=True)
    return [place for folder in (top, *modules, *trees) for name in _GIT_FIXED if (place := folder / name).exists()]


def _on_the_way(fixed: Iterable[Path], writable: Sequence[Path]) -> list[Path]:
    """The folders that lead to what is fixed, each before what lies in it: who could move one would put another in its place."""
    folders = {one for place in fixed for one in place.parents if any(top in one.parents for top in writable)}
    return sorted(folders, key=lambda one: len(one.parts))


def _hooks_elsewhere(top: Path) -> Iterator[Path]:
    """The folder that a repository's settings name for its hooks."""
    with suppress(OSError):
        for value in _HOOKS_PATH.findall((top / "config").read_text("utf-8", "replace")):
            folder = (top.parent / value.strip().strip('"')).resolve()
            if folder.is_dir():
                yield folder


def _own_code() -> list[Path]:
    """Omni itself, and the environment that it runs in: the next command would run what is changed there outside."""
    return [Path(__file__).resolve().parents[1], Path(sys.prefix).resolve()]


def _not_of_the_system() -> list[Path]:
    """Folders at the top that no system has by itself: data of this machine."""
    with suppress(OSError):
        return [
            one for one in Path("/").iterdir() if one.is_dir() and not one.is_symlink() and one.name not in SYSTEM_TOPS
        ]
    return []


def _is_ours(git: Path) -> bool:
    """Whether this is there and this user's: anybody may make one in a folder that all share."""
    try:
        return git.lstat().st_uid == os.getuid() and git.parent not in SHARED
    except OSError:
        return False


def _existing(paths: Iterable[Path]) -> list[Path]:
    """Those that are there and that this user may get to, each once, without links."""
    there = (path for path in paths if os.access(path, os.F_OK, effective_ids=True))
    return list(dict.fromkeys(path.resolve() for path in there))


def _quoted(value: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in value)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
