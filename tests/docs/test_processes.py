"""What the papers say of processes is what the code makes of them, and what the kernel says."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from omni.cli.confinement import UNCONFINED
from omni.cli.main import COMMANDS
from omni.cli.ps import ORDER, command, confinement
from omni.core.paths import Home
from omni.keeper import ProcessInfo, begin_installing, installing, name_installer

ROOT = Path(__file__).resolve().parents[2]
PAPERS = {
    name: (ROOT / name).read_text("utf-8")
    for name in ("README.md", "ROADMAP.md", "docs/privacy.md", "docs/architecture.md")
}
FREE = {*UNCONFINED, "installer"}  # the installer is nobody's to ask
# What was once said and never true: that all but one are confined, or that one alone has the network.
TOO_MUCH = re.compile(
    r"every process(?: of Omni)? (?:but|except)|only the airlock can|the one process that|the only (?:process|door)\b|no process but",
    re.IGNORECASE,
)
# What gives up the network in its own code or by what it hands its work to.
WALLS = re.compile(
    r"\b(?:with_services|offline_services|resumable)\(|confinement\.confine\(|from omni\.(?:shell|server)\.start import"
)


@pytest.mark.parametrize("page", PAPERS)
def test_a_paper_names_each_kind_of_process_that_is_not_confined(page: str) -> None:
    assert {kind for kind in FREE if kind not in PAPERS[page].lower()} == set()


def test_the_privacy_page_says_of_each_why_it_is_not_confined_and_of_nobody_else() -> None:
    section = PAPERS["docs/privacy.md"].partition("## What is not confined, and why")[2].partition("\n## ")[0]
    assert {name.lower() for name in re.findall(r"^- \*\*The (\w+)\*\*", section, re.MULTILINE)} == FREE


def test_nothing_says_that_all_but_one_are_confined() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("omni/cli/*.txt")]
    sources = [path for path in ROOT.glob("omni/**/*.py") if "static" not in path.parts]
    said = [*pages, *sources, *ROOT.glob("cartridges/**/*.toml")]
    claims = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in said
        for match in TOO_MUCH.finditer(" ".join(path.read_text("utf-8").split()))
    }
    assert claims == set()


def test_the_commands_without_a_wall_are_those_that_the_privacy_page_names() -> None:
    commands = {
        name for name in COMMANDS if not WALLS.search((ROOT / "omni" / "cli" / f"{name}.py").read_text("utf-8"))
    }
    (told,) = re.findall(r"^Commands that read neither(.*?)\n\n", PAPERS["docs/privacy.md"], re.MULTILINE | re.DOTALL)
    assert commands | {"serve key", "environment add"} == set(re.findall(r"`omni ([a-z ]+)`", told))


def test_the_kinds_are_the_same_for_the_keeper_the_listing_and_the_pane() -> None:
    kinds = set(get_args(ProcessInfo.__annotations__["kind"]))
    assert kinds == set(ORDER)
    pane = ast.parse((ROOT / "omni/shell/panes/system.py").read_text("utf-8"))
    orders = [ast.literal_eval(each.value) for each in ast.walk(pane)
              if isinstance(each, ast.Assign) and getattr(each.targets[0], "id", "") == "order"]  # fmt: skip
    assert [set(order) for order in orders] == [kinds]
    for kind in kinds:
        said = confinement(ProcessInfo(name=kind, kind=kind, pid=1, confined="none", since=0.0))
        assert (said == "NOT CONFINED") == (kind not in FREE), kind


@pytest.fixture
def installer(home: Home) -> Iterator[int]:
    """Something that holds the lock of an installer, as `environment.running` starts one."""
    held = begin_installing(home)
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[held],
        start_new_session=True,
    )
    name_installer(held, process.pid)
    os.close(held)
    yield process.pid
    process.communicate()


def test_an_installer_at_work_is_listed_though_no_keeper_knows_of_it(home: Home, installer: int) -> None:
    process = installing(home, beside=os.getpid())
    assert process is not None
    assert (process.kind, process.pid, process.confined) == ("installer", installer, "none")
    said = CliRunner().invoke(command, [], env={"OMNI_HOME": str(home.root)})
    assert said.exit_code == 0, said.output
    assert re.search(rf"^installer +{installer} .*the package index", said.output, re.MULTILINE)
    (row,) = json.loads(CliRunner().invoke(command, ["--json"], env={"OMNI_HOME": str(home.root)}).output)
    assert row["kind"] == "installer"


def test_without_one_nothing_is_listed(home: Home) -> None:
    assert installing(home, beside=os.getpid()) is None
    assert "No process of Omni is running." in CliRunner().invoke(command, [], env={"OMNI_HOME": str(home.root)}).output


@pytest.mark.real
@pytest.mark.timeout(180)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seccomp is Linux's")
def test_the_kernel_says_the_same_of_every_process_that_runs(home: Home, starter_gguf: Path) -> None:
    """A worker, the keeper, the airlock, a command and its starter, each looked at in /proc while they live."""
    if not wall_is_possible():
        pytest.skip("no filter can be set on this machine")
    omni = f"{sys.executable} -I {ROOT}/omni/__main__.py"
    session = f"""
    {omni} pull '{starter_gguf}' >&2 && {omni} chat hello >&2 && (mkdir project && cd project && {omni} sandbox run true) >&2 && {omni} doctor --confinement >&2 && {omni} ps --json &&
    {omni} audit >&2; code=$?; {omni} stop --all >&2; exit $code"""
    environment = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own"}
    done = subprocess.run(
        ["sh", "-c", session],
        cwd=home.root.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    rows = [ProcessInfo(**{key: row[key] for key in ProcessInfo.__struct_fields__}) for row in json.loads(done.stdout)]
    assert {row.kind for row in rows} == set(ORDER) - {"installer", "helper"}
    for row in rows:
        assert (row.confined == "none") == (row.kind in FREE), row
    assert "The confinement holds." in done.stderr


def wall_is_possible() -> bool:
    """Whether a child of this process can be confined."""
    code = "from omni.core import confinement; raise SystemExit(not confinement.confine().enforced)"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
