import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.errors import BadFile
from omni.environment.requirements import parse_lock, read_lock

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
HASH = "0123456789abcdef" * 4


def test_a_pin_has_name_version_marker_and_hashes() -> None:
    (pin,) = parse_lock(
        f"A.b_C==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{HASH[::-1]}\n"
    )
    assert (pin.name, pin.version, pin.marker) == ("a-b-c", "1.0", "sys_platform == 'linux'")
    assert pin.hashes == {HASH, HASH[::-1]}


@pytest.mark.parametrize(
    "line", ["click>=8", "click==8.1", f"click --hash=sha256:{HASH}", "-e .", "--index-url https://x"]
)
def test_what_is_no_locked_pin_is_refused(line: str) -> None:
    with pytest.raises(BadFile, match="is not a version with its hash"):
        parse_lock(line)


def test_the_base_set_up_stays_small() -> None:
    assert len({pin.name for pin in parse_lock((REQUIREMENTS / "core.txt").read_text("utf-8"))}) <= 30


@given(st.text())
def test_any_text_is_pins_or_a_bad_file(text: str) -> None:
    try:
        assert all(pin.hashes for pin in parse_lock(text))
    except BadFile:
        pass


@pytest.mark.parametrize("name", ["core", "dev", "installer", "build"])
def test_the_shipped_locks_name_hashes_and_no_address(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text("ascii")
    assert read_lock(REQUIREMENTS / f"{name}.txt")
    assert not re.search(r"://|index|find-links|trusted", text)


def test_development_has_all_that_a_start_needs() -> None:
    core = {(pin.name, pin.version) for pin in read_lock(REQUIREMENTS / "core.txt")}
    assert core <= {(pin.name, pin.version) for pin in read_lock(REQUIREMENTS / "dev.txt")}


def test_every_requirement_of_the_project_is_locked() -> None:
    import tomllib

    project = tomllib.loads((REQUIREMENTS.parent / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=;]", each)[0].strip() for each in project["dependencies"]}
    assert wanted <= {pin.name for pin in read_lock(REQUIREMENTS / "core.txt")}
