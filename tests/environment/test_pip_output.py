import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.errors import BadFile, NetworkBlocked, OmniError, SetupError, StorageError
from omni.environment.pip_output import PipOutput

RUN = """\
Looking in indexes: https://index.example/simple
Ignoring colorama: markers 'sys_platform == "win32"' don't match your environment
Collecting click==8.5.1 (from -r core.txt (line 1))
  Downloading click-8.5.1-py3-none-any.whl (126 kB)
Processing /wheels/h11-0.16.0-py3-none-any.whl (from -r core.txt (line 4))
Collecting textual==8.2.8 (from -r core.txt (line 9))
  Downloading textual-8.2.8-py3-none-any.whl (731 kB)
Progress 0 of 731418
Progress 262144 of 731418
Progress 731418 of 731418
Installing collected packages: textual, h11, click
Successfully installed click-8.5.1 h11-0.16.0 textual-8.2.8
"""


def test_a_run_is_followed_package_by_package() -> None:
    output = PipOutput(4)
    steps = [step for line in RUN.splitlines() if (step := output.feed(line))]
    told = [(step.phase, step.done, step.total, step.size, step.name) for step in steps]
    assert told[1] == ("download", 0, 3, 0, "click")
    assert ("download", 0, 3, 126_000, "click") in told
    assert ("download", 1, 3, 126_000, "h11") in told
    assert ("download", 2, 3, 126_000 + 262_144, "textual") in told
    assert told[-1] == ("install", 0, 3, 0, "")
    assert output.size == 126_000 + 731_418
    assert all(0 <= step.fraction <= 1 for step in steps)
    fractions = [step.fraction for step in steps if step.phase == "download"][1:]
    assert fractions == sorted(fractions)


def failure(text: str) -> OmniError:
    output = PipOutput(3)
    for line in text.splitlines():
        output.feed(line)
    return output.failure(1, "/logs/setup.log")


def test_a_wrong_hash_names_the_package() -> None:
    error = failure(
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated …\n"
        "    click==8.5.1 from https://x/click-8.5.1-py3-none-any.whl#sha256=00 (from -r bad.txt (line 1)):\n"
        "        Expected sha256 00\n"
    )
    assert isinstance(error, BadFile)
    assert error.message.startswith("click==8.5.1 from the index is not the file")


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", StorageError, "full"),
        ("ERROR: No matching distribution found for xllamacpp==2026.10", SetupError, "xllamacpp==2026.10"),
        ("ERROR: Could not install packages due to an OSError: [Errno 30] Read-only file system: '/x'", SetupError, "/x"),
        ("ERROR: something new", SetupError, "something new"),
        ("no such option: --progress-bar raw", SetupError, "no such option"),
        ("", SetupError, "code 1"),
    ],
)  # fmt: skip
def test_failures_are_one_sentence(line: str, kind: type[OmniError], says: str) -> None:
    error = failure(line)
    assert type(error) is kind
    assert says in error.message


def test_a_missing_package_after_a_broken_connection_is_the_connection() -> None:
    error = failure(
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NameResolutionError("
        "\"HTTPSConnection(host='index.example', port=443): Failed to resolve 'index.example' ([Errno -3] Temporary "
        "failure in name resolution)\")': /simple/click/\n"
        "ERROR: No matching distribution found for click==8.5.1\n"
    )
    assert isinstance(error, NetworkBlocked)
    assert "Failed to resolve 'index.example'" in error.message
    assert "--from FOLDER" in error.hint


@given(st.lists(st.text() | st.sampled_from(RUN.splitlines())))
def test_whatever_it_prints_is_followed(lines: list[str]) -> None:
    output = PipOutput(3)
    for line in lines:
        step = output.feed(line)
        assert step is None or 0 <= step.done <= step.total or step.total == 0
    assert output.failure(1, "log").message
