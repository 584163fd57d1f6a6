"""How a template frames an answer, found from what it writes: thoughts before it, marks around it."""

import json
from typing import Any, cast

import pytest

from omni.core.errors import EngineError
from omni.engine.framing import UNFRAMED, Framing, Mark, framing_of
from omni.engine.framing import framed as framed_in
from omni.engine.http import WorkerClient
from omni.schemas import Grammar
from tests.schemas.walking import admits

CHATML = "<|im_start|>{role}\n{content}<|im_end|>\n"


class Worker:
    """Writes prompts as a template would, and reads answers. `answer` stands before what a brain said, `begin` at the end
    of a prompt. `hides` is what it takes off an answer, `leaves` whether it can be told not to; an answer without `needs` is
    none."""

    def __init__(
        self,
        *,
        answer: str = "",
        after: str = "",
        begin: str = "",
        quiet: str = "",
        special: str = "",
        hides: tuple[str, ...] = (),
        needs: str = "",
        leaves: bool = False,
    ) -> None:
        self.answer, self.after, self.begin, self.quiet, self.special = answer, after, begin, quiet, special
        self.hides, self.needs, self.leaves = hides, needs, leaves

    async def json(self, path: str, body: Any = None) -> Any:
        if path == "/tokenize":
            whole = body["parse_special"] and body["content"] == self.special
            return {"tokens": [7] if whole else list(body["content"].encode())}
        if path == "/v1/chat/completions":
            raw = body.get("reasoning_format") == "none"
            if raw and not self.leaves:
                raise EngineError("It is not known.")
            return self._said(body["grammar"], () if raw else self.hides)
        prompt = "".join(
            CHATML.replace("{role}", message["role"]).replace(
                "{content}",
                f"{self.answer}{message['content']}{self.after}"
                if message["role"] == "assistant"
                else message["content"],
            )
            for message in body["messages"]
        )
        thinking = body.get("chat_template_kwargs", {}).get("enable_thinking")
        return {"prompt": f"{prompt}<|im_start|>assistant\n{self.quiet if thinking is False else self.begin}"}

    def _said(self, grammar: str, hides: tuple[str, ...]) -> Any:
        """The only text that the grammar admits, read."""
        start, *rules = grammar.splitlines()[1:]
        texts = dict(rule.split(": ", 1) for rule in rules if rule.startswith("T"))
        said = "".join(json.loads(texts[name]) if name in texts else self.special for name in start.split()[1:])
        if self.needs not in said:
            raise EngineError("It is no answer.")
        for text in hides:
            said = said.replace(text, "")
        return {"choices": [{"message": {"content": said}}]}


async def framed(template: str, *, thinking: bool | None = None, **writes: Any) -> Framing:
    return await framing_of(cast("WorkerClient", Worker(**writes)), template, thinking=thinking, tools=False)


async def test_a_plain_template_frames_nothing() -> None:
    assert await framed("{{ content }}") == UNFRAMED
    assert await framed("{{ content }} says: think") == UNFRAMED


async def test_a_brain_that_may_think_and_one_whose_prompt_begins_to() -> None:
    thinks = Mark("<think>"), Mark("</think>")
    hides = ("<think>", "so", "</think>")
    assert await framed("<think></think>", hides=hides) == Framing(thinks=thinks)
    assert await framed("<think></think>", begin="<think>\n", hides=hides) == Framing(thinks=thinks, opened=True)
    begin = "<think>\n\n</think>\n\n"
    assert await framed("<think></think>", begin=begin, hides=hides) == Framing(thinks=thinks)


async def test_thoughts_that_the_engine_leaves_in_the_text_end_with_their_mark() -> None:
    framing = await framed("<think></think>", begin="<think>\n")
    assert (framing.opened, framing.until) == (True, "</think>")


async def test_thoughts_are_left_in_the_text_where_the_engine_can_be_told_so() -> None:
    """Its readers make something else of those that have marks of the template in them."""
    framing = await framed("<think></think>", begin="<think>\n", hides=("<think>", "so", "</think>"), leaves=True)
    assert (framing.opened, framing.until, framing.raw) == (True, "</think>", True)


async def test_what_the_engine_cannot_read_is_left_out() -> None:
    framing = await framed("<think></think>", hides=("</think>",))  # nobody could tell where its thoughts end
    assert framing == UNFRAMED
    refused = await framed("", answer="<|START_TEXT|>", after="<|END_TEXT|>", needs="none of it")
    assert refused.lead == Mark("<|START_TEXT|>")  # as it was found: nothing else is read either


async def test_one_that_shall_not_think_has_no_thoughts_unless_its_template_goes_on() -> None:
    written = {"begin": "<think>\n", "quiet": "<think>\n\n</think>\n\n"}
    assert await framed("<think></think>", thinking=False, **written) == UNFRAMED
    begun = {"begin": "<think>\n", "quiet": "<think>\n"}
    assert (await framed("<think></think>", thinking=False, **begun)).opened


async def test_marks_that_are_tokens_are_written_as_tokens() -> None:
    framing = await framed("[THINK][/THINK]", special="[/THINK]", hides=("[THINK]", "so", "[/THINK]"))
    assert framing.thinks == (Mark("[THINK]"), Mark("[/THINK]", (7,)))


@pytest.mark.parametrize("mark", ["<|says|>", "<|channel|>final<|message|>"])
async def test_what_stands_before_earlier_answers_and_not_in_the_prompt_leads(mark: str) -> None:
    assert await framed("{{ content }}", answer=mark, hides=(mark,)) == Framing(lead=Mark(mark))
    assert await framed("{{ content }}", answer=mark) == Framing(lead=Mark(mark), until=mark)
    assert await framed("{{ content }}", answer=mark, begin=mark) == UNFRAMED


async def test_a_mark_that_wants_another_one_after_the_answer() -> None:
    marks = "<|START_RESPONSE|>", "<|END_RESPONSE|>"
    framing = await framed("", answer=marks[0], after=marks[1], hides=marks, needs=marks[1])
    assert framing == Framing(lead=Mark(marks[0]), trail=Mark(marks[1]))


async def test_words_are_no_mark() -> None:
    assert await framed("", answer="I say that ") == UNFRAMED
    assert await framed("", answer="-" * 200) == UNFRAMED


@pytest.mark.parametrize("most", [None, 40])
@pytest.mark.parametrize("opened", [True, False])
def test_thoughts_end_with_the_first_mark_that_ends_them(most: int | None, *, opened: bool) -> None:
    """What follows it is the answer: readers of templates take the first for the end."""
    grammar = Grammar()
    framing = Framing(thinks=(Mark("<think>"), Mark("</think>")), opened=opened)
    text = grammar.text(framed_in(grammar, framing, grammar.literal("{}"), thoughts=most))
    begin = "" if opened else "<think>"
    for thought in ("", "so", "so\n\nand so", "a < b", "</thin"):
        assert admits(text, f"{begin}{thought}</think>\n{{}}")
    for thought in ("so</think>", "</think>and so"):
        assert not admits(text, f"{begin}{thought}</think>{{}}")
    assert admits(text, f"{begin}{'so' * 21}</think>{{}}") == (most is None)
