from pathlib import Path

import pytest

from omni.environment.reference import help_text, read_blocks, wants_help, wants_version

TEXT = "\x0comni\nUsage: omni\n\n  All.\n\x0comni chat\nUsage: omni chat\n\x0comni environment repair\nUsage: repair\n\x0comni environment\nUsage: environment\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "Usage: omni\n\n  All.\n"),
        (["chat", "--help"], "Usage: omni chat\n"),
        (["chat", "words", "--help"], "Usage: omni chat\n"),
        (["environment", "repair", "-h"], "Usage: repair\n"),
        (["environment", "--json", "repair", "--help"], "Usage: environment\n"),
        (["unknown", "--help"], "Usage: omni\n\n  All.\n"),
    ],
)
def test_the_longest_known_command_is_explained(tmp_path: Path, arguments: list[str], expected: str) -> None:
    reference = tmp_path / "reference.txt"
    reference.write_text(TEXT)
    assert wants_help(arguments)
    assert help_text(arguments, reference) == expected


def test_without_a_reference_there_is_still_an_answer(tmp_path: Path) -> None:
    assert help_text(["--help"], tmp_path / "none").startswith("Usage: omni")


def test_what_is_asked_of_a_brain_is_no_call_for_help() -> None:
    assert not wants_help(["chat", "--", "what does --help do?", "--help"])
    assert not wants_version(["chat", "--version"])
    assert wants_version(["--version"])
    assert read_blocks("noise\n\x0comni\nx\n") == {"omni": "x\n"}
