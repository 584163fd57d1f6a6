"""A crash is loud, and prints nothing of what was written."""

from pathlib import Path

import pytest

from tests.shell.fakes import settled, shell

SECRET = "the words of a person"


async def test_a_crash_names_the_place_and_no_local_variable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = shell(tmp_path)

    def fail() -> None:
        question = SECRET + " in a local variable"
        raise ValueError(f"went wrong with {len(question)} characters")

    with pytest.raises(ValueError, match="went wrong"):
        async with app.run_test(size=(120, 36)) as pilot:
            await settled(pilot)
            printed = app._exit_renderables
            app.call_later(fail)
            await pilot.pause()
            text = "".join(segment.text for each in printed for segment in each.segments)
            app._exit_renderables = printed = []
    assert "went wrong with" in text
    assert "fail" in text
    assert "question = SECRET" in text, "the line of code, not what it held"
    assert SECRET not in text.replace("SECRET", "")
    assert SECRET not in caplog.text
