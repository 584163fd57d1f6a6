"""Where things live. No other module spells a path of Omni's own, but for those of `environment` that every start pays for or that
take the home apart; this one needs the standard library only."""

import os
import stat
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

from omni.core.errors import SetupError, StorageError


class Home:
    """The folder that holds all that Omni keeps, and the folder of its sockets.

    `root` may be any length; sockets lie in a short folder of their own under `/tmp`, because the kernel ends their
    paths at 107 bytes.
    """

    __slots__ = ("root",)

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(os.path.expanduser(root)))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Home":
        """The home named by `OMNI_HOME`, else `~/.omni`."""
        return cls(environment.get("OMNI_HOME") or "~/.omni")

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"

    @property
    def config(self) -> Path:
        """The settings."""
        return self.root / "config.toml"

    @property
    def venv(self) -> Path:
        """A link to the environment in use."""
        return self.root / "venv"

    @property
    def venvs(self) -> Path:
        """Managed environments, one folder each."""
        return self.root / "venvs"

    @property
    def bin(self) -> Path:
        """The `omni` command that runs this code from any folder."""
        return self.root / "bin"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.root / "logs"

    @property
    def cartridges(self) -> Path:
        """Brains."""
        return self.root / "cartridges"

    @property
    def blobs(self) -> Path:
        """Files of brains, named by their sha256."""
        return self.root / "cartridges" / "blobs"

    @property
    def library(self) -> Path:
        """The index of brains."""
        return self.root / "cartridges" / "index.db"

    @property
    def prefixes(self) -> Path:
        """What brains' own prompts become inside an engine."""
        return self.root / "prefixes"

    @property
    def chat(self) -> Path:
        """Conversations."""
        return self.root / "chat" / "omni.db"

    @property
    def quantised(self) -> Path:
        """Reports of quantisations, and the texts that they were measured with."""
        return self.root / "cartridges" / "quantised"

    @property
    def audit(self) -> Path:
        """What went through the airlock, and what was judged, answered and done."""
        return self.root / "audit"

    @property
    def consent(self) -> Path:
        """Rules: what may be done without being asked, and what never."""
        return self.root / "consent.json"

    @property
    def consent_lock(self) -> Path:
        """Held by whoever changes those."""
        return self.root / "consent.lock"

    @property
    def changes(self) -> Path:
        """Changes that tools made to files, with what was there before."""
        return self.root / "changes"

    @property
    def artifacts(self) -> Path:
        """What tools returned, whole, where a conversation has a part of it."""
        return self.root / "artifacts"

    @property
    def keys(self) -> Path:
        """The hashed keys of those who may use the server."""
        return self.root / "server" / "keys.json"

    @property
    def certificate(self) -> Path:
        """The certificate that `omni serve --tls` made; its key lies beside it."""
        return self.root / "server" / "certificate.pem"

    @property
    def certificate_key(self) -> Path:
        """What only the airlock reads."""
        return self.root / "server" / "certificate.key"

    @property
    def responses(self) -> Path:
        """Answers that programs may go on from."""
        return self.root / "server" / "responses.db"

    @property
    def engines(self) -> Path:
        """Engines that were added, one folder each, and what trials found out about them."""
        return self.root / "engines"

    @property
    def engines_lock(self) -> Path:
        """Held while an engine is added, removed or tried."""
        return self.root / "engines.lock"

    @property
    def hardware(self) -> Path:
        """What was measured on this machine."""
        return self.root / "hardware.json"

    @property
    def hardware_lock(self) -> Path:
        """Held by whoever changes that."""
        return self.root / "hardware.lock"

    @property
    def air_gap(self) -> Path:
        """Is there while the person has shut all doors."""
        return self.root / "air-gap"

    @property
    def features(self) -> Path:
        """Packages of features on demand, a folder for each feature."""
        return self.root / "features"

    @property
    def features_lock(self) -> Path:
        """Held while a feature is added or removed."""
        return self.root / "features.lock"

    @property
    def plugins(self) -> Path:
        """The packages of plug-ins; a link to those in use. It outlives every environment."""
        return self.root / "plugins"

    @property
    def plugin_sets(self) -> Path:
        """Plug-ins with their wheels and their lock, one folder for each time that one was added or removed."""
        return self.root / "plugin-sets"

    @property
    def plugin_lock(self) -> Path:
        """Held while a plug-in is added or removed."""
        return self.root / "plugin-sets.lock"

    @property
    def plugin_list(self) -> Path:
        """What is known of the installed plug-ins, until one is installed or removed."""
        return self.root / "plugins.json"

    @property
    def engine_builds(self) -> Path:
        """What a build of an engine has fetched and compiled so far."""
        return self.root / "engine-builds"

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper that lives."""
        return self.root / "keeper.lock"

    @property
    def keeper_file(self) -> Path:
        """How to reach the keeper."""
        return self.root / "keeper.json"

    @property
    def setup_lock(self) -> Path:
        """Held by a set-up that runs."""
        return self.root / "setup.lock"

    @property
    def run(self) -> Path:
        """State files of running workers; the held lock of one says that its process lives."""
        return self.root / "run"

    @property
    def sockets(self) -> Path:
        """`/tmp/omni-<uid>-<8 hex of the home's path>`: short, private to this user and this home."""
        # A checksum is enough to tell the homes of one person apart, and hashlib would load all of OpenSSL.
        name = zlib.crc32(os.fsencode(self.root))
        return Path(f"/tmp/omni-{os.getuid()}-{name:08x}")  # owner and mode are checked by ensure_sockets

    # Methods, because `omni uninstall` takes away what is a property: these are the person's own.

    def themes(self) -> Path:
        """Themes that the person put there."""
        return self.root / "themes"

    def agents(self) -> Path:
        """Agents that the person put there."""
        return self.root / "agents"

    def copied(self) -> Path:
        """What was copied in a terminal that takes no copies."""
        return self.root / "copied.txt"

    def ensure(self) -> "Home":
        """Make the home (0700) when it is missing. Raises SetupError or StorageError when that cannot be done."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"The home folder {self.root} cannot be made: {error.strerror}.",
                hint="Set OMNI_HOME to a folder that you may write to.",
            ) from error
        if not os.access(self.root, os.W_OK | os.X_OK) or _read_only(self.root):
            raise SetupError(
                f"The home folder {self.root} is read-only.", hint="Set OMNI_HOME to a folder that you may write to."
            )
        return self

    def ensure_sockets(self) -> Path:
        """Make the folder of sockets (0700) when it is missing; refuse one that somebody else prepared."""
        folder = self.sockets
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
        except OSError as error:
            raise StorageError(f"The socket folder {folder} cannot be made: {error.strerror}.") from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise SetupError(
                f"The socket folder {folder} belongs to somebody else or is open to others.",
                hint=f"Look at it with `ls -ld {folder}` and remove it.",
            )
        return folder


def source_root() -> Path | None:
    """The clone that this code runs from, or None when it was installed as a package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "requirements").is_dir() else None


def resources(kind: str) -> Path:
    """The folder of shipped data of one kind (`cartridges`, `themes`): in the clone, or inside the installed wheel."""
    root = Path(__file__).resolve().parents[2]
    inside = root / "omni" / "_data" / kind
    return inside if inside.is_dir() else root / kind


def python_tag() -> str:
    """What compiled packages cannot be shared across: interpreter version, system, machine."""
    return f"{sys.implementation.cache_tag}-{sys.platform}-{os.uname().machine}"


def own_path(text: str) -> Path:
    """A path as a person types it: `~` is the home folder."""
    return Path(os.path.expanduser(text))


def python_command(module: str, *, packages: bool = True) -> list[str]:
    """A command line that runs `module` of this very code, whatever folder and environment it is started in.

    With `packages` false the interpreter skips `site`, which halves its start; only the standard library is there then.
    """
    root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from runpy import run_module; run_module({module!r}, run_name='__main__')"
    if not packages:  # runpy alone costs more than the keeper's whole start
        # Last: of an installed wheel the root is the folder of all packages, which shall not hide the standard library.
        code = f"import sys; sys.path.append({root!r}); import {module} as m; m.main()"
    return [sys.executable, "-I", *(() if packages else ("-S",)), "-c", code]


def _read_only(folder: Path) -> bool:
    """True on a file system mounted read-only, which `os.access` does not tell root."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
