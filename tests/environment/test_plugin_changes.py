"""Plug-ins are added and removed whole or not at all: with what they need, without a network, killed, refused, twice."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, SetupError, UsageError
from omni.core.installed import InstalledPlugins
from omni.core.paths import Home
from omni.core.process_kinds import GrantedKind, granted_kinds
from omni.environment import PluginPlan, add_plugin, remove_plugin, set_in_use
from omni.environment.plugin_sets import changing
from omni.environment.plugin_wheels import make_wheel as make_plugin_wheel
from omni.keeper import set_air_gap
from tests.environment.conftest import REPOSITORY, TinyClone, make_wheel

pytestmark = pytest.mark.real

HOOK = "from omni.core.hooks import hookimpl\n@hookimpl\ndef omni_context_providers():\n    return []\n"


class Silent:
    """Shows nothing."""

    def step(self, step: Any) -> None: ...

    def say(self, sentence: str) -> None: ...

    def close(self) -> None: ...


class Desk:
    """A home, an index with tiny packages, and folders of plug-ins."""

    def __init__(self, home: Home, clone: TinyClone, folder: Path) -> None:
        self.home, self.clone, self.folder = home, clone, folder
        self.plans: list[PluginPlan] = []
        self.grants: list[GrantedKind] = []

    def plugin(self, name: str, *needs: str, version: str = "1.0", source: str = HOOK) -> str:
        """A folder with a plug-in; returns its path."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        listed = ", ".join(f'"{need}"' for need in needs)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "omni-{name}"\nversion = "{version}"\ndependencies = [{listed}]\n'
            f'[project.entry-points.omni]\n{name} = "omni_test_{name}"\n'
        )
        (folder / f"omni_test_{name}.py").write_text(source)
        return str(folder)

    def add(self, what: str, **given: Any) -> list[str]:
        """Add it, and return what is installed then."""
        trials = add_plugin(
            self.home, what, Silent(), agree=self.plans.append, grant=self.grants.extend, clone=self.clone.root, **given
        )
        assert all(trial.ok for trial in trials)
        return self.here()

    def remove(self, name: str) -> list[str]:
        """Remove it, and return the packages that went."""
        return remove_plugin(self.home, name, Silent(), clone=self.clone.root)[0]

    def here(self) -> list[str]:
        """The plug-ins that would be loaded."""
        return sorted(each.name for each in InstalledPlugins(self.home).plugins())

    def packages(self) -> set[str]:
        """What lies in the folder of plug-ins."""
        return {path.name.partition("-")[0] for path in self.home.plugins.glob("*.dist-info")}

    def sets(self) -> int:
        """How many folders there are: one more than is used would be garbage."""
        return len(list(self.home.plugin_sets.iterdir()))


def shut_in(patch: pytest.MonkeyPatch, clone: TinyClone) -> None:
    """Let pip know the tiny index and nothing else."""
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        patch.delenv(name)
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_INDEX_URL", (clone.index / "simple").as_uri())
    patch.setenv("PIP_NO_CACHE_DIR", "1")


@pytest.fixture(scope="module")
def with_one(tmp_path_factory: pytest.TempPathFactory, installer_wheel: Path) -> Path:
    """A home to which the plug-in `one` was added, to be copied: adding takes seconds."""
    folder = tmp_path_factory.mktemp("with one")
    with pytest.MonkeyPatch.context() as patch:
        clone = TinyClone(folder, installer_wheel)
        shut_in(patch, clone)
        one = Desk(Home(folder / "home").ensure(), clone, folder)
        one.add(one.plugin("one"))
    return one.home.root


@pytest.fixture
def empty(home: Home, clone: TinyClone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Nothing was added yet."""
    shut_in(monkeypatch, clone)
    return Desk(home, clone, tmp_path)


@pytest.fixture
def desk(empty: Desk, with_one: Path) -> Desk:
    """`one` was added."""
    shutil.copytree(with_one, empty.home.root, symlinks=True, dirs_exist_ok=True)
    return empty


def test_what_it_needs_comes_from_the_index_and_goes_with_it(desk: Desk) -> None:
    assert desk.add(desk.plugin("one", "tiny-a", version="2.0")) == ["one"]
    assert desk.add(desk.plugin("two", "tiny-a", "tiny-b")) == ["one", "two"]
    assert desk.plans[0].replaces == "1.0"
    assert desk.plans[0].brings == ("tiny-a 1.0",)
    assert desk.plans[1].brings == ("tiny-b 2.0",)
    current = set_in_use(desk.home)
    assert current is not None
    assert {pin.name for pin in current.pins()} == {"omni-one", "omni-two", "tiny-a", "tiny-b"}
    assert desk.remove("two") == ["omni-two 1.0", "tiny-b 2.0"]
    assert desk.packages() == {"omni_one", "tiny_a"}
    assert desk.remove("one") == ["omni-one 2.0", "tiny-a 1.0"]
    assert desk.here() == []
    assert not os.path.lexists(desk.home.plugins)
    assert desk.sets() == 0


def test_by_its_name_it_comes_from_the_index(empty: Desk) -> None:
    from omni.environment.plugin_wheels import make_wheel as wheel_of

    wheel_of(Path(empty.plugin("named", "tiny-a")), empty.clone.wheels)
    empty.clone.publish()
    assert empty.add("omni-named") == ["named"]
    assert empty.packages() == {"omni_named", "tiny_a"}


def test_a_wheel_needs_no_network_where_all_is_here(desk: Desk) -> None:
    from omni.environment.plugin_wheels import make_wheel as wheel_of

    set_air_gap(desk.home, on=True)
    assert desk.add(str(wheel_of(Path(desk.plugin("two", "click")), desk.folder))) == ["one", "two"]
    assert desk.packages() == {"omni_one", "omni_two"}  # Omni's own click does
    with pytest.raises(NetworkBlocked, match=r"tiny-a is needed, and is not here\. The air gap is on"):
        desk.add(desk.plugin("three", "tiny-a"))
    assert desk.here() == ["one", "two"]
    assert desk.sets() == 1


def test_no_plug_in_takes_the_place_of_a_module_of_another_one(desk: Desk) -> None:
    folder = Path(desk.plugin("aone"))
    (folder / "omni_test_one.py").write_text(f"{HOOK}\nMINE = True\n")
    with pytest.raises(UsageError, match=r"omni-one 1\.0 and .*|.* and omni-one 1\.0") as caught:
        desk.add(str(folder))
    assert "omni_test_one.py" in caught.value.message
    assert "omni-aone 1.0" in caught.value.message
    assert desk.here() == ["one"]
    assert "MINE" not in (desk.home.plugins / "omni_test_one.py").read_text()
    (folder / "omni_test_one.py").write_text(HOOK)  # the very same file does no harm
    assert desk.add(str(folder)) == ["aone", "one"]


def test_an_exported_folder_has_all_that_is_needed(empty: Desk, tmp_path: Path) -> None:
    from omni.environment.export import export_wheels

    empty.add(empty.plugin("one", "tiny-a"))
    export = tmp_path / "export"
    export_wheels(empty.home, export, Silent(), clone=empty.clone.root)
    other = Desk(Home(tmp_path / "other"), empty.clone, tmp_path)
    set_air_gap(other.home.ensure(), on=True)
    try:
        assert other.add("omni-one", wheels=export) == ["one"]
        assert other.packages() == {"omni_one", "tiny_a"}
    finally:
        shutil.rmtree(other.home.sockets, ignore_errors=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('on purpose')", "RuntimeError: on purpose"),
        ("import os; os._exit(3)", "ended with 3"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "failed to load"),
        ("", "fills no hook"),
    ],
)
def test_one_that_does_not_load_changes_nothing(desk: Desk, source: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        desk.add(desk.plugin("bad", source=source))
    assert desk.here() == ["one"]
    assert desk.sets() == 1


def test_what_does_not_go_with_omni_is_said(empty: Desk) -> None:
    make_wheel(empty.clone.wheels, "click", "99.0")
    empty.clone.publish()
    with pytest.raises(SetupError, match=r"click 99\.0 would be needed, and Omni itself has"):
        empty.add(empty.plugin("one", "click>=99"))
    assert empty.here() == []
    assert not os.path.lexists(empty.home.plugins)


def test_a_name_that_is_taken_names_both(desk: Desk, tmp_path: Path) -> None:
    folder = Path(desk.plugin("other"))
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace("other = ", "one = "))
    with pytest.raises(UsageError, match=r"omni-other 1\.0 brings the plug-in 'one', and omni-one 1\.0 has one"):
        desk.add(str(folder))
    assert [each.package for each in InstalledPlugins(desk.home).plugins()] == ["omni-one 1.0"]


def test_the_folder_of_a_set_is_never_used_again(desk: Desk) -> None:
    before = desk.home.plugins.resolve()
    desk.remove("one")
    desk.add(desk.plugin("one"))
    assert desk.home.plugins.resolve() != before
    assert not before.exists()


def test_who_does_not_agree_gets_nothing(empty: Desk) -> None:
    def refuse(_: object) -> None:
        raise OmniError("no")

    marker = empty.folder / "ran"
    folder = empty.plugin("one", source=f"open({str(marker)!r}, 'w')\n{HOOK}")
    with pytest.raises(OmniError, match=r"^no$"):
        add_plugin(empty.home, folder, Silent(), agree=refuse, grant=refuse, clone=empty.clone.root)
    assert not marker.exists()
    assert empty.here() == []


WITH_PROCESS = """
from omni.core.hooks import ProcessKind, hookimpl
@hookimpl
def omni_process_kinds():
    return [ProcessKind(name="it", about="works", target="{module}:run", memory=100_000_000, doors={doors!r})]
def run(channel): ...
"""


def with_process(name: str, doors: tuple[str, ...] = ()) -> str:
    """The source of a plug-in that asks for a process."""
    return WITH_PROCESS.format(module=f"omni_test_{name}", doors=doors)


def test_its_process_is_granted_with_it_kept_with_others_and_goes_with_it(desk: Desk) -> None:
    desk.add(desk.plugin("two", source=with_process("two", ("pull",))))
    (granted,) = desk.grants
    assert (granted.name, granted.target, granted.doors) == ("two.it", "omni_test_two:run", ("pull",))
    desk.add(desk.plugin("three", source=with_process("three")))
    assert set(granted_kinds(desk.home)[1]) == {"two.it", "three.it"}
    desk.remove("three")
    assert granted_kinds(desk.home)[1] == {"two.it": granted}
    desk.add(desk.plugin("two", version="2.0"))  # a newer one that asks for none
    assert granted_kinds(desk.home)[1] == {}


def test_who_does_not_grant_a_process_gets_nothing(desk: Desk) -> None:
    def refuse(kinds: list[GrantedKind]) -> None:
        raise OmniError(f"no {kinds[0].name}")

    folder = desk.plugin("two", source=with_process("two"))
    with pytest.raises(OmniError, match=r"^no two\.it$"):
        add_plugin(desk.home, folder, Silent(), agree=desk.plans.append, grant=refuse, clone=desk.clone.root)
    assert desk.here() == ["one"]
    assert desk.sets() == 1
    assert granted_kinds(desk.home)[1] == {}


@pytest.mark.parametrize("address", ["{}", "git+{}"])
def test_no_code_of_what_would_have_to_be_built_runs(desk: Desk, address: str) -> None:
    source, marker = desk.folder / "source", desk.folder / "ran"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "source"\nversion = "1"\n'
    )
    (source / "backend.py").write_text(f"open({str(marker)!r}, 'w')\n")
    with pytest.raises(SetupError, match="source is no wheel, and would have to be built"):
        desk.add(desk.plugin("two", f"source @ {address.format(source.as_uri())}"))
    assert not marker.exists()
    assert desk.here() == ["one"]
    assert desk.plans == []


def test_a_plug_in_that_another_one_brings_is_asked_for_tried_and_goes_with_it(desk: Desk) -> None:
    make_plugin_wheel(Path(desk.plugin("below")), desk.clone.wheels)
    desk.clone.publish()
    assert desk.add(desk.plugin("above", "omni-below")) == ["above", "below", "one"]
    assert desk.plans[-1].names == ("above", "below")
    with pytest.raises(UsageError, match=r"omni-below is needed by omni-above\."):
        desk.remove("below")
    assert desk.add(desk.plugin("two")) == ["above", "below", "one", "two"]
    assert desk.remove("above") == ["omni-above 1.0", "omni-below 1.0"]
    assert desk.here() == ["one", "two"]


def test_a_plug_in_that_another_one_brings_stays_when_it_is_asked_for(desk: Desk) -> None:
    below = desk.plugin("below")
    make_plugin_wheel(Path(below), desk.clone.wheels)
    desk.clone.publish()
    desk.add(desk.plugin("above", "omni-below"))
    desk.add(below)
    assert desk.remove("above") == ["omni-above 1.0"]
    assert desk.here() == ["below", "one"]


def test_a_plug_in_that_another_one_brings_and_that_fails_changes_nothing(desk: Desk) -> None:
    make_plugin_wheel(Path(desk.plugin("below", source="1 / 0\n")), desk.clone.wheels)
    desk.clone.publish()
    with pytest.raises(SetupError, match="'below' failed to load: ZeroDivisionError"):
        desk.add(desk.plugin("above", "omni-below"))
    assert desk.here() == ["one"]


def test_what_cannot_be_the_name_of_a_plug_in_is_said(empty: Desk) -> None:
    folder = Path(empty.plugin("odd"))
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace("odd = ", '"../odd" = '))
    with pytest.raises(BadFile, match=r"brings a plug-in of the name '\.\./odd'"):
        empty.add(str(folder))


@pytest.mark.parametrize(
    ("what", "kind"),
    [("./nothing", NotFound), ("--index-url=x", UsageError), ("a b", UsageError), ("nothing.whl", NotFound)],
)
def test_what_is_no_plug_in_is_said(empty: Desk, what: str, kind: type[OmniError]) -> None:
    with pytest.raises(kind):
        empty.add(what)


def test_a_wheel_without_a_plug_in_is_refused(empty: Desk) -> None:
    with pytest.raises(BadFile, match="is no plug-in"):
        empty.add(str(make_wheel(empty.folder, "tiny-c", "1.0")))


def test_a_folder_that_was_filled_by_hand_is_left_alone(empty: Desk) -> None:
    empty.home.plugins.mkdir()
    (empty.home.plugins / "mine.py").touch()
    with pytest.raises(SetupError, match="filled by hand"):
        empty.add(empty.plugin("two"))
    assert (empty.home.plugins / "mine.py").exists()


def test_two_at_once_do_not_meet(desk: Desk) -> None:
    with desk.home.plugin_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SetupError, match="Another `omni plugin`"):
            desk.add(desk.plugin("two"))
    assert desk.here() == ["one"]


def test_a_record_that_is_no_record_is_said(desk: Desk) -> None:
    current = set_in_use(desk.home)
    assert current is not None
    (current.folder / "plugins.json").write_text('{"plugins": [3], "python": ""}')
    with pytest.raises(BadFile, match="cannot be read"):
        desk.add(desk.plugin("two"))
    assert desk.here() == ["one"]


KILLED = """
import os, signal, sys
from pathlib import Path
from omni.core.paths import Home
from omni.environment import add_plugin, plugin_changes, plugin_sets

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

home, folder, clone, module, name, at = sys.argv[1:]
deadly({"changes": plugin_changes, "sets": plugin_sets}[module], name, int(at))
add_plugin(Home(home), folder, Silent(), agree=lambda plan: None, grant=lambda kinds: None, clone=Path(clone))
"""


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("changes _plan 1", ["one"]),
        ("changes _fill 1", ["one"]),
        ("changes try_plugins 1", ["one"]),
        ("sets sync_all 1", ["one"]),
        ("sets _link 1", ["one"]),
        ("sets InstalledPlugins 1", ["one", "two"]),
        ("sets take_away 1", ["one", "two"]),
    ],
)
def test_killed_anywhere_it_is_the_old_or_the_new(desk: Desk, where: str, after: list[str]) -> None:
    command = [sys.executable, "-c", KILLED, str(desk.home.root), desk.plugin("two"), str(desk.clone.root)]
    done = subprocess.run([*command, *where.split()], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert desk.here() == after
    with changing(desk.home):  # as the next one does
        assert desk.sets() == 1


def test_a_full_disk_leaves_the_old_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from omni.core.errors import StorageError
    from omni.environment import plugin_sets

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(plugin_sets, "sync_all", full)
    with pytest.raises(StorageError, match="full"):
        desk.add(desk.plugin("two"))
    assert desk.here() == ["one"]
    assert desk.sets() == 1
