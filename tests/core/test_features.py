"""Features on demand: one that is installed is found when it is required, and what is missing names its command."""

import pickle
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from omni.core.errors import BadFile, NotFound
from omni.core.features import FEATURES, Feature, FeatureMissing, Features, require
from omni.core.paths import Home, resources
from omni.environment import read_lock

Make = Callable[..., Features]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Make:
    """A home's features: one, `tiny`, whose module no other test has."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"tiny_{abs(hash(request.node.nodeid)):x}"

    def features(lock: str = "tiny==1\n") -> Features:
        requirements = tmp_path / "requirements"
        requirements.mkdir(exist_ok=True)
        (requirements / "feature-tiny.txt").write_text(lock)
        feature = Feature(name="tiny", about="is small", modules=(module,), download=12_000, size=30_000)
        return Features(home, known={"tiny": feature}, requirements=requirements)

    return features


def install(features: Features, source: str = "") -> Path:
    """The feature's folder as an installation leaves it."""
    folder = features.folder("tiny")
    folder.mkdir(parents=True)
    (folder / f"{features.get('tiny').modules[0]}.py").write_text(source)
    return folder


def test_one_that_is_not_there_names_the_command_and_the_size(make: Make) -> None:
    features = make()
    assert features.state("tiny") == "absent"
    with pytest.raises(FeatureMissing, match="tiny is not installed; it is small") as raised:
        features.require("tiny")
    assert raised.value.hint == "`omni environment add tiny` installs it (fetches about 12 kB)."
    assert pickle.loads(pickle.dumps(raised.value)).hint == raised.value.hint


def test_one_that_is_installed_meanwhile_is_found(make: Make) -> None:
    features = make()
    with pytest.raises(FeatureMissing):
        features.require("tiny")
    before = list(sys.path)
    folder = install(features)
    assert features.state("tiny") == "installed"
    features.require("tiny")
    features.require("tiny")
    assert sys.path == [*before, str(folder)]  # last, and once
    assert features.get("tiny").modules[0] in sys.modules


def test_one_of_an_earlier_version_is_not_used(make: Make) -> None:
    install(make())
    features = make("tiny==2\n")
    assert features.state("tiny") == "outdated"
    with pytest.raises(FeatureMissing, match="for an earlier version") as raised:
        features.require("tiny")
    assert "`omni environment add tiny` renews it" in raised.value.hint
    assert make().state("tiny") == "installed"  # and another clone of the same home still has its own


def test_what_a_killed_installation_left_is_not_used(make: Make) -> None:
    features = make()
    install(features).rename(features.folder("tiny").with_name(".new-1"))
    assert features.state("tiny") == "absent"


def test_one_that_does_not_load_says_so(make: Make) -> None:
    features = make()
    install(features, "import a_module_that_nobody_has\n")
    with pytest.raises(FeatureMissing, match="does not load: No module named 'a_module_that_nobody_has'") as raised:
        features.require("tiny")
    assert "mends it" in raised.value.hint


def test_what_the_environment_has_itself_is_used(home: Home) -> None:
    """The environment of the tests has what features bring."""
    for name in FEATURES:
        require(name, home=home)
        assert Features(home).state(name) == "built in"


def test_the_grammar_of_bash_reads_a_command(home: Home) -> None:
    require("code", home=home)
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    tree = Parser(Language(tree_sitter_bash.language())).parse(b"ls | wc -l")
    assert str(tree.root_node).startswith("(program (pipeline ")


def test_an_unknown_one_and_a_missing_lock_are_sentences(make: Make) -> None:
    features = make()
    with pytest.raises(NotFound, match="'tine'") as raised:
        features.require("tine")
    assert raised.value.hint == "Did you mean 'tiny'?"
    features.lock("tiny").unlink()
    with pytest.raises(BadFile, match="cannot be read"):
        features.require("tiny")


@pytest.mark.parametrize("name", FEATURES)
def test_a_lock_holds_what_the_base_set_up_has_not_and_what_the_tests_use(name: str) -> None:
    pins = {pin.name: pin.version for pin in read_lock(Features(Home("/nowhere")).lock(name))}
    core = {pin.name for pin in read_lock(resources("requirements") / "core.txt")}
    dev = {pin.name: pin.version for pin in read_lock(resources("requirements") / "dev.txt")}
    assert pins
    assert not core & pins.keys()
    assert pins.items() <= dev.items()


@pytest.mark.parametrize("name", FEATURES)
def test_each_is_an_extra_that_the_wheel_the_makefile_and_the_papers_know(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    assert all("==" in requirement for requirement in extras[name])
    assert any(re.fullmatch(rf"omni-sovereign\[(.*,)?{name}(,.*)?\]", each) for each in extras["dev"])
    lock = f"requirements/feature-{name}.txt"
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"][lock] == f"omni/_data/{lock}"
    assert name in re.findall(r"^FEATURES = (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[0].split()
    assert f"| `{name}` | {FEATURES[name].about} |" in (ROOT / "docs" / "environment.md").read_text("utf-8")
