"""Features on demand: packages that the base set-up does without, asked for where they are used.

HOME/features/NAME/<lock hash>-<python>-<system>-<machine>/   the packages of one, whole once it has that name

`omni environment add NAME` makes such a folder. Its name says for which lock file and which Python it was made, so that
one of an earlier version is not used: what uses it was written for the versions in the lock, and compiled packages that
do not go together end a process instead of saying so. Nothing is looked for until a feature is required, so that no start
pays for any. Standard library only.
"""

import sys
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from omni.core.errors import BadFile, NotFound, SetupError, nearest
from omni.core.paths import Home, python_tag, resources
from omni.core.words import size_words

# Installed for this version; part of the environment itself; installed for another version; not there.
FeatureState = Literal["installed", "built in", "outdated", "absent"]


class Feature(NamedTuple):
    """One feature: what it is for, the modules that prove it, and in bytes about what is fetched for it and what it takes on
    the disk (measured on Linux, x86-64). Its packages stand in `requirements/feature-NAME.txt`."""

    name: str
    about: str
    modules: tuple[str, ...]
    download: int
    size: int


GRAMMARS = ("bash", "c", "cpp", "css", "go", "html", "java", "javascript", "python", "rust", "sql", "typescript")  # fmt: skip
FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        each.name: each
        for each in (
            Feature(
                name="code",
                about="reads shell commands and source code by their grammars",
                modules=("tree_sitter", *(f"tree_sitter_{name}" for name in GRAMMARS)),
                download=3_200_000,
                size=28_400_000,
            ),
        )
    }
)


class FeatureMissing(SetupError):
    """A feature is needed, and is not installed for this version of Omni; the hint is the command that installs it."""


class Features:
    """The features of one home. `known` is the table of them, `requirements` the folder of their lock files."""

    def __init__(
        self, home: Home, *, known: Mapping[str, Feature] = FEATURES, requirements: Path | None = None
    ) -> None:
        self.home, self.known = home, known
        self.requirements = resources("requirements") if requirements is None else requirements

    def get(self, name: str) -> Feature:
        """The feature of that name. Raises NotFound."""
        if name not in self.known:
            hint = nearest(name, self.known) or f"There is: {', '.join(self.known)}."
            raise NotFound(f"No feature is named {name!r}.", hint=hint)
        return self.known[name]

    def lock(self, name: str) -> Path:
        """The hash-locked requirements of a feature. Raises NotFound."""
        return self.requirements / f"feature-{self.get(name).name}.txt"

    def folder(self, name: str) -> Path:
        """Where its packages lie for this version and this Python, installed or not. Raises BadFile without its lock."""
        lock = self.lock(name)
        try:
            digest = sha256(lock.read_bytes()).hexdigest()
        except OSError as error:
            raise BadFile(f"The lock file {lock} cannot be read: {error.strerror}.") from error
        return self.home.features / name / f"{digest[:16]}-{python_tag()}"

    def here(self) -> list[str]:
        """Those that have a folder in the home, for whichever version."""
        return [name for name in self.known if (self.home.features / name).is_dir()]

    def others(self, name: str) -> list[Path]:
        """Folders of the same feature for another version or another Python."""
        folder = self.folder(name)
        if not folder.parent.is_dir():
            return []
        return sorted(each for each in folder.parent.iterdir() if each != folder and not each.name.startswith("."))

    def state(self, name: str) -> FeatureState:
        """Whether it can be used; imports nothing."""
        if (folder := self.folder(name)).is_dir():
            return "installed"
        if str(folder) not in sys.path and _importable(self.get(name)):
            return "built in"
        return "outdated" if self.others(name) else "absent"

    def require(self, name: str, *only: str) -> None:
        """See that the modules of a feature can be imported from here on, and import them, or `only` these.

        Raises FeatureMissing where it is not installed, is there for another version only, or does not load.
        """
        feature = self.get(name)
        if not _importable(feature):
            state, folder = self.state(name), str(self.folder(name))
            if state in ("outdated", "absent"):
                raise self._missing(feature, state)
            if folder not in sys.path:
                sys.path.append(folder)  # last: nothing in it can stand in for a module of ours
        try:
            for module in only or feature.modules:
                import_module(module)
        except ImportError as error:
            raise FeatureMissing(f"The feature {name} does not load: {error}.", hint=_hint(feature, "mends")) from error

    @staticmethod
    def _missing(feature: Feature, state: FeatureState) -> FeatureMissing:
        if state == "outdated":
            return FeatureMissing(
                f"The feature {feature.name} is installed for an earlier version.", hint=_hint(feature, "renews")
            )
        return FeatureMissing(
            f"The feature {feature.name} is not installed; it {feature.about}.", hint=_hint(feature, "installs")
        )


def require(name: str, *only: str, home: Home | None = None) -> None:
    """See that the modules of a feature of Omni's can be imported from here on, and import them, or `only` these.

    Raises FeatureMissing, whose hint names the command that installs it and about what that fetches.
    """
    Features(home or Home.from_environment()).require(name, *only)


def _importable(feature: Feature) -> bool:
    return all(module in sys.modules or find_spec(module) is not None for module in feature.modules)


def _hint(feature: Feature, does: str) -> str:
    return f"`omni environment add {feature.name}` {does} it (fetches about {size_words(feature.download)})."
