"""What the installer process does for folders of packages beside the environment, which plug-ins and features have: find out
what is needed, fetch that as wheels, unpack wheels."""

import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from omni.core.errors import BadFile
from omni.core.files import write_atomic
from omni.environment import pip_alone
from omni.environment.installer import WHEEL, Tell, fetch_installer, follow_pip, installed, serve
from omni.environment.requirements import normalised, read_lock
from omni.environment.wheel import find_wheel, index_files
from omni.environment.wheel_tags import fits_here, pinned_file

_COMMON = ["--no-input", "--disable-pip-version-check", "--only-binary", ":all:", "--progress-bar", "raw"]

REPORT, FETCH = "report.json", "fetch.txt"
LEFT = (REPORT, FETCH, WHEEL)  # what may lie in a new folder after its packages are there, and is needed by nobody
TEMPORARY = "tmp"  # a folder for pip's temporary files, so that none of them is left elsewhere when it is killed


def main() -> None:
    """One of the tasks, as the first line of standard input says."""
    serve({"look": look, "resolve": resolve, "unpack": unpack})


def look(order: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:  # noqa: ARG001 - all tasks look alike
    """Which files the pins of `lock` are on this machine, by the index or in `links`; fetches none of them. Returns name,
    version and size in bytes of each; the size is None where the index does not say."""
    parts = []
    for pin in (pin for pin in read_lock(Path(order["lock"])) if pin.applies()):
        if order["online"]:
            size = pinned_file(pin, index_files(pin.name, partial(fits_here, version=pin.version))).size
        else:
            size = find_wheel(Path(order["links"][0]), pin).stat().st_size
        parts.append({"name": pin.name, "version": pin.version, "size": size})
    return parts


def resolve(order: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
    """Choose versions for `requirements` that go with this environment and with `constraints`, and put their wheels into
    `links[0]`; returns name, version, file, sha256 and whether it was asked for, of each. Nothing of them is run."""
    target, wheels = Path(order["target"]), Path(order["links"][0])
    pip = _pip(order, tell)
    report = target / REPORT
    # What is installed here counts as being there: Omni's own packages are not brought a second time.
    choose = ["install", "--dry-run", "--no-user", "--break-system-packages", "--report", str(report)]
    constraints = ["--constraint", order["constraints"]] if order["constraints"] else []
    follow_pip(
        [*pip, *choose, *_COMMON, *_sources(order), *constraints, *order["requirements"]], order, tell, lambda: 0
    )
    packages = [_package(entry) for entry in json.loads(report.read_text("utf-8"))["install"]]
    away = []
    for package in packages:
        url, path = package.pop("url"), wheels / package["file"]
        if urlsplit(url).scheme != "file":
            away.append(package)
        elif (here := Path(unquote(urlsplit(url).path))) != path:
            write_atomic(path, here.read_bytes())  # a new file: the old name may be of one that is in use
    if away:
        lock = target / FETCH
        write_atomic(lock, lock_text(away))
        fetch = ["download", "--require-hashes", "--no-deps", "--dest", str(wheels)]
        follow_pip([*pip, *fetch, *_COMMON, *_sources(order), "-r", str(lock)], order, tell, lambda: 0)
    for package in packages:
        _verify(wheels / package["file"], package["sha256"])
    return packages


def unpack(order: dict[str, Any], tell: Tell) -> dict[str, str]:
    """Install the wheels that `lock` names into the folder `packages`, from `links` alone unless `online`; returns names and
    versions."""
    packages = Path(order["packages"])
    command = ["install", "--no-user", "--no-deps", "--require-hashes", "--no-warn-script-location"]
    where = ["--break-system-packages", "--target", str(packages), "-r", order["lock"]]
    packages.mkdir(exist_ok=True)
    follow_pip(
        [*_pip(order, tell), *command, *_COMMON, *_sources(order), *where],
        order,
        tell,
        lambda: len(list(packages.glob("*.dist-info"))),
    )
    return installed(packages)


def lock_text(packages: list[dict[str, Any]]) -> str:
    """Packages as a hash-locked requirements file."""
    lines = [f"{each['name']}=={each['version']} \\\n    --hash=sha256:{each['sha256']}\n" for each in packages]
    return "".join(sorted(lines))


def _pip(order: dict[str, Any], tell: Tell) -> list[str]:
    """How the pinned pip is started, which starts nothing itself: the one that set-up kept, or the same from an export or
    the index."""
    path = Path(order["pip"]) if order["pip"] else Path(order["target"]) / WHEEL
    if not path.is_file():
        fetch_installer(path, Path(order["installer"]), order["pip_from"] and Path(order["pip_from"]), tell)
    return [sys.executable, "-I", "-u", "-X", "utf8", pip_alone.__file__, str(path)]


def _sources(order: dict[str, Any]) -> list[str]:
    links = [word for folder in order["links"] for word in ("--find-links", folder)]
    return [*([] if order["online"] else ["--isolated", "--no-index"]), *links]


def _package(entry: dict[str, Any]) -> dict[str, Any]:
    url = entry["download_info"]["url"]
    return {
        "name": normalised(entry["metadata"]["name"]),
        "version": entry["metadata"]["version"],
        "file": unquote(urlsplit(url).path.rpartition("/")[2]),
        "sha256": entry["download_info"]["archive_info"]["hashes"]["sha256"],
        "asked": bool(entry.get("requested")),
        "url": url,
    }


def _verify(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise BadFile(f"{path.name} is not the file that was chosen (wrong sha256); nothing was kept.")


if __name__ == "__main__":
    main()
