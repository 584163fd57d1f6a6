"""What contributors and their tools are told to run is there: commands, make targets, packages, hooks, forms."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from omni.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ROOT / "AGENTS.md"
CI = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
YAML = [HOOKS, *sorted(ROOT.glob(".github/**/*.yml"))]
TELLING = [AGENTS, ROOT / "CONTRIBUTING.md", CI, ROOT / ".github" / "pull_request_template.md"]
ALONE = {"lint-imports"}  # a script of its package, which has no module to run
PAIRS = re.compile(r"^\s*for pair in ([\w: -]+); do$", re.MULTILINE)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_every_line_for_agents_is_a_command_that_exists() -> None:
    lines = AGENTS.read_text("utf-8").splitlines()
    assert len(lines) == 10
    for line in lines:
        match = re.fullmatch(r" {4}(make|python3 -m omni) ([a-z-]+)(?: (\S+))?(?: \S+)*? {2,}\S.*", line)
        assert match, line
        program, name, module = match.groups()
        if program == "make":
            assert name in targets(), line
        elif name == "develop":
            assert module in ALONE or find_spec(module) is not None, line
        else:
            assert name in COMMANDS, line


@pytest.mark.parametrize("path", TELLING, ids=lambda path: path.name)
def test_whoever_is_told_to_make_something_can(path: Path) -> None:
    told = {
        name
        for words in re.findall(
            r"(?<![\w-])make((?: [a-z][a-z-]*)+)(?= {2}|`|$)", path.read_text("utf-8"), re.MULTILINE
        )
        for name in words.split()
    }
    assert told
    assert told <= targets()


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_it_is_yaml(path: Path) -> None:
    assert isinstance(read(path), dict)


def test_the_checks_install_what_the_whole_check_installs() -> None:
    (here,) = PAIRS.findall((ROOT / ".ci" / "run").read_text("utf-8"))
    (there,) = PAIRS.findall(CI.read_text("utf-8"))
    assert there == here


def test_the_checks_run_on_what_the_project_asks_for_and_may_read_only() -> None:
    workflow = read(CI)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    (job,) = workflow["jobs"].values()
    assert "permissions" not in job
    pythons = job["strategy"]["matrix"]["python"]
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    assert f">={pythons[0]}" == lowest
    # What the set-up says of a package that no Python of the person's has a wheel for.
    assert f"({pythons[0]} to {pythons[-1]})" in (ROOT / "omni" / "environment" / "pip_output.py").read_text("utf-8")
    assert [step["run"] for step in job["steps"] if str(step.get("run")).startswith("make")] == [
        "make lint types",
        "make test",
    ]


def test_hooks_fetch_nothing_and_run_what_is_there() -> None:
    (repo,) = read(HOOKS)["repos"]
    assert repo["repo"] == "local"
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        *start, module, _, _ = hook["entry"].split()
        assert start == ["python3", "-m", "omni", "develop"]
        assert find_spec(module) is not None


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_a_form_has_what_a_form_needs(name: str) -> None:
    form = read(ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked) > 0
    assert all(part["attributes"]["label"] for part in asked)
