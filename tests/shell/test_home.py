"""The dashboard: the best brain first, then what was done last."""

from pathlib import Path
from typing import Any

from omni.core.settings import ChatSettings, Settings, UiSettings
from omni.keeper import KeeperChange
from omni.shell.listing import Listing
from omni.shell.panes.home import ago_words
from tests.shell.fakes import FakeLibrary, fakes_of, screen_text, settled, shell


async def test_its_first_action_is_the_best_brain_then_the_last_conversations(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await settled(pilot)
        text = screen_text(app)
        for words in ("Talk to Qwen coder 1.5B", "best for this memory", "34.8 tok/s", "Slow order endpoint", "shop-api",
                      "AMD EPYC", "all shut"):  # fmt: skip
            assert words in text
        listing = app.query_one("#home-list", Listing)
        assert listing.key == "new"
        assert app.focused is listing
        await pilot.press("enter")
        await settled(pilot)
        assert app.rail.active == "chat"
        assert app.status.state.brain == "@omni/coder"


async def test_who_has_chosen_a_brain_is_offered_that_one(tmp_path: Path) -> None:
    settings = Settings(ui=UiSettings(ready=True), chat=ChatSettings(brain="@omni/smollm2"))
    app = shell(tmp_path, settings=settings)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await settled(pilot)
        text = screen_text(app)
        assert "Talk to SmolLM2 starter" in text
        assert "the one you chose" in text
        await app.chat_with("@roe/backend")
        await settled(pilot)
        await pilot.press("f2")
        await settled(pilot)
        assert "Talk to Backend" in screen_text(app)
        await pilot.press("home", "enter")
        await settled(pilot)
        assert app.status.state.brain == "@roe/backend"


async def test_the_status_line_names_the_brain_that_would_answer_before_there_is_a_chat(tmp_path: Path) -> None:
    app = shell(tmp_path, settings=Settings(ui=UiSettings(ready=False)))
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await pilot.press("escape")  # the first steps: later
        await settled(pilot)
        assert app.pane("chat") is None
        assert "@omni/coder" in app.status.render_line(0).text
        fakes_of(app).library.list.sort(key=lambda brain: brain.name == "@omni/coder")  # the best no more
        app.tell_panes(KeeperChange(topic="library", value={}))
        await settled(pilot)
        assert "@omni/coder" not in app.status.render_line(0).text
        assert "the one you chose" not in screen_text(app)


async def test_a_choice_that_is_gone_gives_way_to_the_best(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await app.chat_with("gemma3:4b")  # it cannot be loaded
        await pilot.press("f2")
        await settled(pilot)
        assert "Talk to Qwen coder 1.5B" in screen_text(app)


async def test_a_conversation_is_opened(tmp_path: Path, monkeypatch: Any) -> None:
    from omni.shell.panes.chat import ChatPane

    opened: list[str] = []

    async def open_conversation(self: Any, conversation: str) -> None:
        opened.append(conversation)

    monkeypatch.setattr(ChatPane, "open_conversation", open_conversation)
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await settled(pilot)
        await pilot.press("down", "enter")
        await settled(pilot)
        assert opened == ["1"]
        assert app.rail.active == "chat"


async def test_without_a_brain_it_teaches(tmp_path: Path) -> None:
    app = shell(tmp_path, library=FakeLibrary())
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await settled(pilot)
        assert "Pull a first brain" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.rail.active == "cartridges"


async def test_it_follows_the_doors(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await settled(pilot)
        await pilot.press("f12")
        await settled(pilot)
        fakes_of(app).fake_keeper.told.put_nowait(KeeperChange(topic="doors"))
        await settled(pilot)
        await settled(pilot)
        assert "nothing can be pulled" in screen_text(app)


def test_how_long_ago() -> None:
    moment = 1_700_000_000.0
    assert ago_words(5, moment) == "just now"
    assert ago_words(300, moment) == "5 min ago"
    assert ago_words(90_000, moment) == "yesterday"
    assert "Nov" in ago_words(900_000, moment)
