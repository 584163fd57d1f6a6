"""What fits is sent whole; what does not is left out by whole turns, down to half, and stays left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.chat import ChatMessage
from omni.chat.context import fit, start_of, surely_fits
from omni.chat.prompt import Prompt, prompt_of
from omni.chat.store import Beginning
from omni.core.errors import ContextOverflow
from omni.core.events import ContextCompacted, TurnEnded
from omni.core.messages import FilePart, Message, TextPart
from omni.core.settings import ChatSettings, EngineSettings, Settings
from omni.engine import ScriptedEngine, image_of
from omni.engine.context import least_answer
from tests.image_tools import png

ENGINE = ScriptedEngine()


def branch_of(*words: int, files: dict[int, int] | None = None) -> list[ChatMessage]:
    """Turns whose questions have so many words, each answered by one word but the last."""
    messages = []
    for place, many in enumerate(words):
        attached = (
            (FilePart(path=f"f{place}.txt", bytes=1, lines=1, text="w " * files[place]),)
            if files and place in files
            else ()
        )
        messages.append(
            ChatMessage(
                id=f"q{place}", parent=None, role="user", parts=(*attached, TextPart(text="w " * many)), time=0.0
            )
        )
        messages.append(
            ChatMessage(id=f"a{place}", parent=None, role="assistant", parts=(TextPart(text="yes"),), time=0.0)
        )
    return messages[:-1]


async def fitted(prompt: Prompt, allocated: int, answer: int = 10, **more: Any) -> Any:
    return await fit(
        prompt,
        count=ENGINE.count_tokens,
        allocated=allocated,
        context_max=more.pop("context_max", 10_000),
        max_tokens=answer,
        **more,
    )


async def test_what_fits_is_sent_whole() -> None:
    prompt = prompt_of(branch_of(10, 10, 10), "system")
    sent = await fitted(prompt, 100)
    assert sent.messages == prompt.messages()
    assert sent.compacted is None
    assert sent.max_completion_tokens == 10


async def test_the_oldest_whole_turns_are_left_out_down_to_half() -> None:
    prompt = prompt_of(branch_of(*[10] * 8), "system")
    sent = await fitted(prompt, 100)
    kept = await ENGINE.count_tokens(sent.messages)
    one_more = await ENGINE.count_tokens(prompt.messages(sent.compacted.left_out_turns - 1))
    assert kept <= 50 < one_more
    assert sent.messages[0] == Message.of("system", "system")
    assert sent.messages[1].role == "user"
    everything = await ENGINE.count_tokens(prompt.messages())
    assert sent.compacted == ContextCompacted(
        left_out_turns=sent.compacted.left_out_turns,
        left_out_tokens=everything - kept,
        kept_tokens=kept,
        allocated=100,
    )


async def test_files_of_turns_that_are_left_out_stay() -> None:
    prompt = prompt_of(branch_of(*[10] * 8, files={0: 3, 7: 2}), "system")
    sent = await fitted(prompt, 100)
    first = sent.messages[1].text
    assert first.startswith("Files attached earlier:\n\nf0.txt\n```\nw w w ")
    assert "f7.txt" in sent.messages[-1].text
    assert "Files attached earlier" not in sent.messages[-1].text


async def test_a_file_that_was_attached_again_is_sent_once() -> None:
    branch = branch_of(10, 10)
    old = FilePart(path="f", bytes=1, lines=1, text="old")
    new = FilePart(path="f", bytes=1, lines=1, text="new")
    branch[0] = _with(branch[0], old)
    branch[2] = _with(branch[2], new)
    text = "".join(message.text for message in prompt_of(branch, "").messages(1))
    assert "new" in text
    assert "old" not in text


async def test_few_counts_are_enough() -> None:
    counted = 0

    async def count(messages: Any) -> int:
        nonlocal counted
        counted += 1
        return await ENGINE.count_tokens(messages)

    prompt = prompt_of(branch_of(*[10] * 1000), "system")
    sent = await fit(prompt, count=count, allocated=2000, context_max=2000, max_tokens=100)
    assert sent.compacted is not None
    assert counted <= 12


async def test_the_next_turns_begin_at_the_same_place() -> None:
    first = prompt_of(branch_of(*[10] * 8), "system")
    sent = await fitted(first, 100)
    longer = prompt_of(branch_of(*[10] * 9), "system")
    then = await fitted(longer, 100, beginnings=[sent.beginning])
    assert then.compacted is None
    assert then.messages[: len(sent.messages)] == sent.messages  # the whole prefix is in the cache


async def test_a_second_compaction_counts_what_the_first_left_out() -> None:
    sent = await fitted(prompt_of(branch_of(*[10] * 8), "system"), 100)
    longer = prompt_of(branch_of(*[10] * 14), "system")
    then = await fitted(longer, 100, beginnings=[sent.beginning])
    everything = await ENGINE.count_tokens(longer.messages())
    assert then.compacted.left_out_tokens == everything - then.compacted.kept_tokens
    assert then.compacted.left_out_turns == then.beginning.turns > sent.beginning.turns


def test_a_larger_context_begins_anew_and_other_branches_are_their_own() -> None:
    prompt = prompt_of(branch_of(1, 1, 1), "")
    mark = Beginning(message="q1", allocated=100, tokens=5, turns=1)
    assert start_of(prompt, [mark], 100) == (1, mark)
    assert start_of(prompt, [mark], 50) == (1, mark)
    assert start_of(prompt, [mark], 101) == (0, None)
    assert start_of(prompt, [Beginning(message="elsewhere", allocated=100, tokens=5, turns=1)], 100) == (0, None)


async def test_the_last_turn_may_take_from_the_answers_room() -> None:
    prompt = prompt_of(branch_of(60), "system")
    sent = await fitted(prompt, 100, answer=400)
    assert sent.compacted is None
    assert sent.max_completion_tokens == 100 - await ENGINE.count_tokens(sent.messages)


@pytest.mark.parametrize(("files", "less"), [(None, "Ask for less"), ({2: 50}, "Attach less")])
async def test_a_turn_that_cannot_fit_says_by_how_much(files: Any, less: str) -> None:
    prompt = prompt_of(branch_of(10, 10, 95, files=files), "system")
    with pytest.raises(ContextOverflow) as caught:
        await fitted(prompt, 100)
    tokens = await ENGINE.count_tokens(prompt.messages(2))
    assert f"{tokens:,} tokens" in caught.value.message
    assert caught.value.allocated == 100
    assert caught.value.needed > 100
    assert less in caught.value.hint
    assert "engine.context" in caught.value.hint
    with pytest.raises(ContextOverflow) as caught:
        await fitted(prompt, 100, context_max=100)
    assert "longer context" in caught.value.hint


async def test_reading_time_is_told_when_it_was_measured() -> None:
    sent = await fitted(prompt_of(branch_of(*[10] * 8), ""), 100, reading_speed=10.0)
    assert sent.compacted.reading_seconds == sent.compacted.kept_tokens / 10


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12),
    st.integers(40, 300),
    st.integers(1, 200),
    st.dictionaries(st.integers(0, 11), st.integers(1, 20), max_size=3),
)
async def test_whatever_is_sent_fits_with_its_answer(
    words: list[int], allocated: int, answer: int, files: dict[int, int]
) -> None:
    prompt = prompt_of(branch_of(*words, files=files), "be kind")
    try:
        sent = await fitted(prompt, allocated, answer)
    except ContextOverflow:
        alone = await ENGINE.count_tokens(prompt.messages(len(words) - 1))
        assert alone + least_answer(answer, allocated) > allocated
        return
    kept = await ENGINE.count_tokens(sent.messages)
    assert kept + sent.max_completion_tokens <= allocated
    assert 0 < sent.max_completion_tokens <= answer
    assert sent.messages[-1].text.endswith(prompt.turns[-1].messages[0].text)
    for file in (file for turn in prompt.turns for message in turn.messages for file in message.attachments):
        assert sum(message.text.count(f"{file.path}\n```") for message in sent.messages) == 1


@given(st.text(), st.integers(1, 100), st.integers(1, 5000))
def test_what_surely_fits_fits(text: str, answer: int, allocated: int) -> None:
    messages = [Message.of("user", text)]
    if surely_fits(messages, answer, allocated):
        assert len(text.encode("utf-8", "replace")) + 1024 < allocated
    assert not surely_fits([*messages, Message.of("user", image_of(png()))], answer, allocated)


# --- the same, through a conversation


async def test_a_long_conversation_is_compacted_once_and_keeps_its_prefix(bench: Any, collect: Any) -> None:
    bench.settings = Settings(chat=ChatSettings(max_completion_tokens=20), engine=EngineSettings(context=256))
    service = bench.open(ScriptedEngine(["yes"], context=256))
    made = await service.create()
    compacted, cached = [], []
    for number in range(40):
        events = await collect(service.ask(made.id, f"{number} " + "w " * 18))
        compacted += [(number, event) for event in events if isinstance(event, ContextCompacted)]
        ended = events[-1]
        assert isinstance(ended, TurnEnded)
        assert ended.context_used <= 256
        cached.append(ended.usage.cached_tokens / ended.usage.prompt_tokens)
    assert 2 < len(compacted) < 10  # not with every turn
    at = {number for number, _ in compacted}
    assert all(share > 0.7 for number, share in enumerate(cached) if number > 2 and number not in at)
    messages = await service.messages(made.id)
    assert len(messages) == 80  # nothing was deleted
    marks = [message.left_out for message in messages if message.left_out]
    assert marks == [event.left_out_tokens for _, event in compacted]


async def test_less_memory_than_announced_compacts_and_goes_on(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(["yes"], context=300))  # the settings say 16k
    made = await service.create()
    for _ in range(6):
        events = await collect(service.ask(made.id, "w " * 60))
    assert events[-1].reason == "stop"
    assert any(isinstance(event, ContextCompacted) for event in events) or any(
        message.left_out for message in await service.messages(made.id)
    )


async def test_a_question_that_cannot_fit_is_kept_and_explained(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(["yes"], context=300))
    made = await bench.talk(service, "short")
    with pytest.raises(ContextOverflow):
        await collect(service.ask(made, "w " * 400))
    messages = await service.messages(made)
    assert messages[2].text == "w " * 400
    assert messages[3].state == "failed"
    assert await service.undo(made) == "w " * 400
    await collect(service.ask(made, "short again"))


async def test_a_question_that_was_refused_pushes_out_nothing(bench: Any, collect: Any) -> None:
    engine = ScriptedEngine(["yes"], context=300)
    service = bench.open(engine)
    made = await bench.talk(service, "my name is Ada", "remember it")
    with pytest.raises(ContextOverflow):
        await collect(service.ask(made, "w " * 400))
    events = await collect(service.ask(made, "what is my name?"))
    assert not any(isinstance(event, ContextCompacted) for event in events)
    sent = [message.text for message in engine.requests[-1].messages if message.role == "user"]
    assert sent == ["my name is Ada", "remember it", "what is my name?"]


async def test_the_summary_of_a_conversation_that_does_not_fit(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(["yes"], context=300))
    made = await bench.talk(service, *["w " * 60] * 6)
    before = [message.left_out for message in await service.messages(made)]
    events = await collect(service.compact(made))
    assert events[-1].reason == "stop"
    after = [message.left_out for message in await service.messages(made)]
    assert after[:-1] == before  # what a summary leaves out is its own affair


def _with(message: ChatMessage, file: FilePart) -> ChatMessage:
    import msgspec

    return msgspec.structs.replace(message, parts=(file, *message.parts))
