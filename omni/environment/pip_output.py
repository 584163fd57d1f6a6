"""What pip prints, read line by line: how far it is, and in the end why it failed. No process, no file."""

import re

from omni.core.errors import BadFile, NetworkBlocked, OmniError, SetupError, StorageError
from omni.environment.pip_alone import REFUSED
from omni.environment.progress import Phase, Step

_BEGUN = re.compile(r"^(?:Collecting|Requirement already satisfied:|Processing) (\S+)")
_FETCHING = re.compile(r"^\s+Downloading (\S+)(?: \((\d+(?:\.\d+)?) (bytes|kB|MB|GB)\))?")
_PROGRESS = re.compile(r"^Progress (\d+) of (\d+)")
_UNITS = {"bytes": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
_NETWORK = ("Retrying (Retry(", "ConnectionError", "NameResolutionError", "ProxyError", "SSLError", "ConnectTimeout")


class PipOutput:
    """Follows one run of pip over `total` packages."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._phase: Phase = "download"
        self._begun, self._name = 0, ""
        self._size, self._current, self._part = 0, 0, 0.0
        self._network, self._errors, self._mismatch, self._last = "", list[str](), "", ""
        self._refused = ""  # what pip would have started a program for

    def feed(self, line: str) -> Step | None:
        """Take one line; returns the new state when the line changed it."""
        line = line.rstrip()
        if begun := _BEGUN.match(line):
            self._begun += 1
            self._name = _short(begun[1])
            self._finish()
        elif fetching := _FETCHING.match(line):
            self._current = int(float(fetching[2] or 0) * _UNITS[fetching[3] or "bytes"])
        elif progress := _PROGRESS.match(line):
            done, total = int(progress[1]), int(progress[2])
            self._current, self._part = done, min(1.0, done / total) if total else 0.0
        elif line.startswith("Ignoring ") and "markers" in line:
            self.total = max(0, self.total - 1)
        elif line.startswith("Installing collected packages:"):
            self._finish()
            self._phase, self._name = "install", ""
            return Step(phase="install", total=self.total)
        else:
            self._look_for_trouble(line)
            return None
        done = min(max(0, self._begun - 1), self.total)
        return Step(
            phase=self._phase,
            done=done,
            total=self.total,
            size=self._size + self._current,
            name=self._name,
            part=self._part,
        )

    @property
    def size(self) -> int:
        """Bytes fetched."""
        return self._size + self._current

    def _finish(self) -> None:
        self._size, self._current, self._part = self._size + self._current, 0, 0.0

    def _look_for_trouble(self, line: str) -> None:
        self._last = line or self._last
        if any(sign in line for sign in _NETWORK):
            self._network = line
        if REFUSED in line:
            self._refused = self._name
        if line.startswith("ERROR: "):
            self._errors.append(line[7:])
        elif self._errors and "DO NOT MATCH THE HASHES" in self._errors[-1] and not self._mismatch:
            match = re.match(r"\s+(\S+?==\S+)(?: from |\s*\()", line)
            self._mismatch = match[1] if match else ""

    def failure(self, code: int, log: str, *, online: bool = True) -> OmniError:
        """What to tell a person about a run that ended with `code`; the whole output lies in `log`."""
        text = "\n".join(self._errors)
        hint = f"The installer's own words are in {log}."
        if "DO NOT MATCH THE HASHES" in text:
            return BadFile(
                f"{self._mismatch or 'A package'} from the index is not the file that the lock names (wrong sha256); nothing was kept.",
                hint="Try again; if it stays so, the index or a proxy on the way changes files.",
            )
        if self._refused:
            return SetupError(
                f"{self._refused} is no wheel, and would have to be built, which runs its code before anybody agreed to that.",
                hint="Build its wheel, and put that into a folder for --from.",
            )
        if "No space left on device" in text or "Disk quota exceeded" in text:
            return StorageError(
                "The disk is full: the packages could not be installed.", hint="Free some space and try again."
            )
        if "Read-only file system" in text or "Permission denied" in text:
            return SetupError(f"The packages could not be written: {self._errors[-1]}", hint=hint)
        if self._network:
            return NetworkBlocked(
                f"The package index did not answer: {_cause(self._network)}.",
                hint="Check the network and pip's settings (`pip config list`), or set up without network: --from FOLDER.",
            )
        if "No matching distribution" in text:
            wanted = text.rpartition("No matching distribution found for ")[2].split()[0]
            if not online:
                return SetupError(
                    f"{wanted} is needed, and is not here.",
                    hint="It can be fetched from the package index, or come --from FOLDER.",
                )
            return SetupError(
                f"The package index has no {wanted} for this Python and this machine.",
                hint="Check PIP_INDEX_URL, or run with another Python (3.11 to 3.13).",
            )
        last = self._errors[-1] if self._errors else self._last or f"the installer ended with code {code}"
        return SetupError(f"The packages could not be installed: {last}", hint=hint)


def _short(requirement: str) -> str:
    """`textual==8.2.8` or the path of a wheel, as a name."""
    if requirement.endswith(".whl"):
        return requirement.rpartition("/")[2].partition("-")[0]
    return re.split(r"[=<>!~;\[ ]", requirement, maxsplit=1)[0]


def _cause(line: str) -> str:
    """The innermost sentence of a line of urllib3's."""
    match = re.search(r"'(\w+(?:Error|Timeout)\w*)\((.*)\)'", line)
    if not match:
        return line[:120]
    inner = re.sub(r"^.*?: ", "", match[2].strip("\"'"), count=1)
    return inner.strip("\"'")[:160]
