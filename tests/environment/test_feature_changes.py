"""Features on demand are added, renewed, mended and removed whole or not at all: offline, refused, killed, damaged, twice."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.core.at_rest import kind_of
from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, SetupError, StorageError, UsageError
from omni.core.features import FEATURES, Feature, Features
from omni.core.locks import is_held
from omni.core.paths import Home, resources
from omni.environment import (
    Environment,
    FeaturePlan,
    add_feature,
    features,
    footprint,
    list_features,
    place,
    remove_feature,
)
from omni.environment.diagnostics import Diagnostic
from omni.environment.export import export_wheels
from omni.keeper import set_air_gap
from tests.environment.conftest import REPOSITORY, TinyClone, make_wheel
from tests.environment.test_plugin_changes import Silent, shut_in

pytestmark = pytest.mark.real

TINY = Feature(name="tiny", about="is small", modules=("tiny_a", "tiny_b"), download=2_000, size=10_000)


class Desk:
    """A home, an index with tiny packages, and a feature of two of them."""

    def __init__(self, home: Home, clone: TinyClone) -> None:
        self.home, self.clone = home, clone
        self.features = Features(home, known={"tiny": TINY}, requirements=clone.requirements)
        self.plans: list[FeaturePlan] = []
        clone.lock("feature-tiny", clone.packages)

    def add(self, **given: Any) -> bool:
        """Add it; returns whether there was anything to do."""
        return add_feature(self.features, "tiny", Silent(), agree=self.plans.append, **given)

    @property
    def state(self) -> str:
        return self.features.state("tiny")

    def newer(self) -> None:
        """An update of Omni that wants another version of a package."""
        self.clone.packages[0].unlink()
        self.clone.packages[0] = make_wheel(self.clone.wheels, "tiny-a", "1.1")
        self.clone.publish()
        self.clone.lock("feature-tiny", self.clone.packages)

    def folders(self) -> list[str]:
        """What lies in the feature's folder: one more than is used would be garbage."""
        folder = self.home.features / "tiny"
        return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []

    def versions(self) -> str:
        """What a new process gets where it requires the feature."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
            "from omni.core.features import Feature, Features; from omni.core.paths import Home\n"
            "tiny = Feature('tiny', 'is small', ('tiny_a', 'tiny_b'), 2, 3)\n"
            "Features(Home(sys.argv[2]), known={'tiny': tiny}, requirements=Path(sys.argv[3])).require('tiny')\n"
            "import tiny_a, tiny_b; print(tiny_a.VERSION, tiny_b.VERSION)"
        )
        command = [sys.executable, "-I", "-c", code, *map(str, (REPOSITORY, self.home.root, self.clone.requirements))]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def findings(self) -> list[Diagnostic]:
        """What a check of the environment says of it."""
        return features.check_features(self.features)


@pytest.fixture
def empty(home: Home, clone: TinyClone, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Nothing was added yet."""
    shut_in(monkeypatch, clone)
    return Desk(home, clone)


@pytest.fixture(scope="module")
def with_tiny(tmp_path_factory: pytest.TempPathFactory, installer_wheel: Path) -> Path:
    """A home with the feature, to be copied: adding takes a second."""
    folder = tmp_path_factory.mktemp("with tiny")
    with pytest.MonkeyPatch.context() as patch:
        clone = TinyClone(folder, installer_wheel)
        shut_in(patch, clone)
        desk = Desk(Home(folder / "home").ensure(), clone)
        assert desk.add()
    return desk.home.root


@pytest.fixture
def desk(empty: Desk, with_tiny: Path) -> Desk:
    """The feature is here."""
    shutil.copytree(with_tiny, empty.home.root, symlinks=True, dirs_exist_ok=True)
    stamp = empty.features.folder("tiny") / place.STAMP
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"clone": str(empty.clone.root)}))
    return empty


def test_it_is_shown_fetched_proved_and_found(empty: Desk) -> None:
    assert empty.state == "absent"
    assert empty.findings() == []
    assert empty.add()
    (plan,) = empty.plans
    assert [(part.name, part.version) for part in plan.parts] == [("tiny-a", "1.0"), ("tiny-b", "2.0")]
    assert empty.state == "installed"
    assert empty.versions() == "1.0 2.0"
    assert empty.folders() == [empty.features.folder("tiny").name]
    names = [path.relative_to(empty.home.root).as_posix() for path in empty.home.root.rglob("*") if path.is_file()]
    assert {"features.lock", "logs/features.log"} <= set(names)
    assert [name for name in names if kind_of(name) is None] == []
    (row,) = list_features(empty.features)
    assert row.packages == {"tiny-a": "1.0", "tiny-b": "2.0"}
    (finding,) = empty.findings()
    assert finding.ok
    assert finding.detail.startswith("tiny-a 1.0, tiny-b 2.0; ")


def test_what_is_here_as_it_was_installed_is_left_alone(desk: Desk) -> None:
    set_air_gap(desk.home, on=True)
    assert not desk.add()
    assert desk.plans == []


def test_who_does_not_agree_gets_nothing(empty: Desk) -> None:
    def refuse(plan: FeaturePlan) -> None:
        assert plan.feature is TINY
        raise OmniError("no")

    with pytest.raises(OmniError, match=r"^no$"):
        add_feature(empty.features, "tiny", Silent(), agree=refuse)
    assert empty.state == "absent"
    assert empty.folders() == []
    assert not list(empty.home.features.iterdir())


def test_one_of_an_earlier_version_is_not_used_until_it_is_renewed(desk: Desk) -> None:
    before = desk.folders()
    desk.newer()
    assert desk.state == "outdated"
    (finding,) = desk.findings()
    assert (finding.ok, finding.command) == (False, "omni environment add tiny")
    assert "earlier version" in finding.detail
    assert desk.add()
    assert desk.versions() == "1.1 2.0"
    assert desk.folders() != before
    assert len(desk.folders()) == 1


def test_one_that_another_clone_still_wants_stays(desk: Desk, tmp_path: Path, installer_wheel: Path) -> None:
    other = Desk(desk.home, TinyClone(tmp_path / "other", installer_wheel))
    shutil.rmtree(desk.home.features / "tiny")
    assert other.add()
    desk.newer()
    assert desk.add()
    assert len(desk.folders()) == 2
    assert (desk.state, other.state) == ("installed", "installed")


def test_a_damaged_one_is_named_and_mended(desk: Desk) -> None:
    (desk.features.folder("tiny") / "tiny_b.py").write_text("VERSION = None\n")
    set_sizes(desk.features.folder("tiny"))
    (finding,) = desk.findings()
    assert not finding.ok
    assert "tiny_b.py was changed" in finding.detail
    assert desk.add()
    assert desk.versions() == "1.0 2.0"
    assert len(desk.folders()) == 1


def set_sizes(folder: Path) -> None:
    """Write into RECORD, as real wheels have it, what the file of the tiny one measured: theirs say no sizes."""
    record = folder / "tiny_b-2.0.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("tiny_b.py,,", "tiny_b.py,sha256=x,16"))


async def test_the_check_of_the_environment_has_what_is_wrong_with_features(desk: Desk) -> None:
    (desk.home.features / "code").mkdir()
    wrong = {each.name: each for each in await Environment(desk.home, desk.clone.root).check()}
    assert "feature-code.txt cannot be read" in wrong["features"].detail  # the tiny clone has no such lock
    (desk.clone.requirements / "feature-code.txt").write_text("")
    wrong = {each.name: each for each in await Environment(desk.home, desk.clone.root).check()}
    assert "features" not in wrong


def wrong_hash(desk: Desk) -> None:
    desk.clone.lock("feature-tiny", desk.clone.packages, wrong=True)


def wrong_file(desk: Desk) -> None:
    """Another file than the lock names, on a page that says no hash."""
    page = desk.clone.index / "simple" / "tiny-a"
    make_wheel(page, "tiny-a", "1.0", "VERSION = 'of somebody else'\n")
    (page / "index.html").write_text('<a href="tiny_a-1.0-py3-none-any.whl">tiny-a</a>')


def not_offered(desk: Desk) -> None:
    shutil.rmtree(desk.clone.index / "simple" / "tiny-b")


def does_not_load(desk: Desk) -> None:
    desk.clone.packages[1] = make_wheel(desk.clone.wheels, "tiny-b", "2.0", "import a_module_that_nobody_has\n")
    desk.clone.publish()
    desk.clone.lock("feature-tiny", desk.clone.packages)


def crashes(desk: Desk) -> None:
    source = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n"
    desk.clone.packages[1] = make_wheel(desk.clone.wheels, "tiny-b", "2.0", source)
    desk.clone.publish()
    desk.clone.lock("feature-tiny", desk.clone.packages)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (wrong_hash, BadFile, "is not the one that Omni pins"),
        (wrong_file, BadFile, "tiny-a"),
        (not_offered, SetupError, "tiny-b"),
        (does_not_load, SetupError, "do not load here: ModuleNotFoundError: .*a_module_that_nobody_has"),
        (crashes, SetupError, "was ended by signal 11"),
    ],
)
def test_what_goes_wrong_is_said_and_adds_nothing(
    empty: Desk, fault: Callable[[Desk], None], kind: type[OmniError], said: str
) -> None:
    fault(empty)
    with pytest.raises(kind, match=said):
        empty.add()
    assert empty.state == "absent"
    assert empty.folders() == []


def test_a_renewal_that_fails_leaves_the_folder_of_before(desk: Desk) -> None:
    before = desk.folders()
    wrong_hash(desk)
    with pytest.raises(BadFile):
        desk.add()
    assert desk.folders() == before
    desk.clone.lock("feature-tiny", desk.clone.packages)
    assert desk.state == "installed"


def test_without_a_network_the_way_without_one_is_named(empty: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(NetworkBlocked) as raised:
        empty.add()
    assert "--from FOLDER" in raised.value.hint
    assert empty.folders() == []


def test_behind_the_air_gap_an_export_has_it(desk: Desk, tmp_path: Path) -> None:
    export = tmp_path / "export"
    exported = Features(desk.home, requirements=desk.clone.requirements)
    assert exported.known is FEATURES  # the export goes by the real table, so that the tiny one stands in for `code`
    (desk.clone.requirements / "feature-code.txt").write_text(desk.features.lock("tiny").read_text())
    shutil.copytree(desk.home.features / "tiny", desk.home.features / "code")
    export_wheels(desk.home, export, Silent(), clone=desk.clone.root)
    assert {"tiny_a-1.0-py3-none-any.whl", "tiny_b-2.0-py3-none-any.whl"} <= {
        each.name for each in (export / "wheels").iterdir()
    }
    other = Desk(Home(tmp_path / "other").ensure(), desk.clone)
    set_air_gap(other.home, on=True)
    try:
        with pytest.raises(NetworkBlocked, match="air gap is on"):
            other.add()
        assert other.folders() == []
        assert other.add(wheels=export)
        assert [part.size for part in other.plans[0].parts] == [path.stat().st_size for path in desk.clone.packages]
        assert other.versions() == "1.0 2.0"
        (export / "wheels" / "tiny_a-1.0-py3-none-any.whl").write_bytes(b"PK")
        remove_feature(other.features, "tiny")
        with pytest.raises(BadFile, match="is not the pinned file"):
            other.add(wheels=export)
    finally:
        shutil.rmtree(other.home.sockets, ignore_errors=True)


def test_two_at_once_do_not_meet(desk: Desk) -> None:
    with desk.home.features_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SetupError, match="adds or removes a feature right now"):
            desk.add()
        with pytest.raises(SetupError, match="adds or removes a feature right now"):
            remove_feature(desk.features, "tiny")
    assert desk.state == "installed"


def test_a_full_disk_is_said_before_and_after(empty: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(features, "sync_all", full)
        with pytest.raises(StorageError, match="is full"):
            empty.add()
    assert empty.folders() == []
    huge = Features(empty.home, known={"tiny": TINY._replace(size=1 << 60)}, requirements=empty.clone.requirements)
    with pytest.raises(StorageError, match="too full"):
        add_feature(huge, "tiny", Silent(), agree=lambda plan: None)
    assert empty.folders() == []


def test_removing_it_frees_what_it_took_and_uninstalling_takes_it(desk: Desk) -> None:
    assert {"features", "features.lock"} <= {each.path.name for each in footprint(desk.home)}
    assert remove_feature(desk.features, "tiny") > 0
    assert desk.state == "absent"
    assert not (desk.home.features / "tiny").exists()
    with pytest.raises(NotFound, match="is not installed"):
        remove_feature(desk.features, "tiny")
    with pytest.raises(NotFound, match="No feature is named"):
        remove_feature(desk.features, "../features")
    with pytest.raises(UsageError, match="part of the environment that runs"):
        remove_feature(Features(desk.home), "code")


KILLED = """
import os, signal, sys
from pathlib import Path
from omni.core.features import Feature, Features
from omni.core.paths import Home
from omni.environment import add_feature, features, remove_feature, running

class Silent:
    step = say = lambda *_: None
    def close(self): pass

def deadly(module, name, at):
    before, calls = getattr(module, name), []
    def dies(*arguments, **named):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return before(*arguments, **named)
    setattr(module, name, dies)

home, requirements, what, module, name, at = sys.argv[1:]
deadly({"features": features, "running": running}[module], name, int(at))
tiny = Feature("tiny", "is small", ("tiny_a", "tiny_b"), 2, 3)
known = Features(Home(home), known={"tiny": tiny}, requirements=Path(requirements))
if what == "add":
    add_feature(known, "tiny", Silent(), agree=lambda plan: None)
else:
    remove_feature(known, "tiny")
"""


def kill(desk: Desk, what: str, where: str) -> None:
    """Have a process change the feature that ends itself there, and wait until its installer has ended, too."""
    command = [sys.executable, "-c", KILLED, str(desk.home.root), str(desk.clone.requirements), what, *where.split()]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with desk.home.features_lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert not is_held(desk.home.features_lock)


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("running _follow 1", "absent"),  # while the index is asked
        ("running _follow 2", "absent"),  # while pip is at work
        ("features _try 1", "absent"),
        ("features sync_all 1", "absent"),
        ("features sync 1", "installed"),
    ],
)
def test_killed_anywhere_it_is_there_or_not(empty: Desk, where: str, after: str) -> None:
    kill(empty, "add", where)
    assert empty.state == after
    finding = empty.findings()[-1]
    assert (finding.detail, finding.command) == ("adding or removing it was interrupted", "omni environment add tiny")
    if after == "installed":
        assert not empty.add()  # which clears away what was left
        assert empty.versions() == "1.0 2.0"
    else:
        with pytest.raises(NotFound):  # and so does this
            remove_feature(empty.features, "tiny")
    assert empty.folders() == ([empty.features.folder("tiny").name] if after == "installed" else [])


def test_after_a_kill_the_same_command_adds_it(empty: Desk) -> None:
    kill(empty, "add", "features _stamp 1")
    assert empty.add()
    assert empty.versions() == "1.0 2.0"
    assert len(empty.folders()) == 1


@pytest.mark.parametrize("where", ["features tree_size 1", "features take_away 1"])
def test_a_removal_that_is_killed_can_be_done_again(desk: Desk, where: str) -> None:
    kill(desk, "remove", where)
    assert desk.state == "installed"
    remove_feature(desk.features, "tiny")
    assert desk.state == "absent"


@pytest.mark.long
def test_the_real_ones_come_from_the_index_and_read_what_they_are_for(home: Home) -> None:
    known = Features(home, requirements=resources("requirements"))
    plans: list[FeaturePlan] = []
    for name in FEATURES:
        assert add_feature(known, name, Silent(), agree=plans.append)
        feature, (row, *_) = known.get(name), (row for row in list_features(known) if row.name == name)
        assert row.state == "installed"
        assert row.size < 1.5 * feature.size
        assert plans[-1].download is None or plans[-1].download < 1.5 * feature.download
    parse = (
        "import sys; from omni.core.features import require; from omni.core.paths import Home\n"
        "require('code', home=Home(sys.argv[1])); import tree_sitter_bash; from tree_sitter import Language, Parser\n"
        "print(Parser(Language(tree_sitter_bash.language())).parse(b'ls | wc -l').root_node)"
    )
    command = [sys.executable, "-c", parse, str(home.root)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(program (pipeline ")
