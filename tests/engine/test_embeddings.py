"""Vectors and ranks of texts: of an embedding model as its numbers say, in order, and without keeping others waiting."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.cartridges import Base, Brain, read_header
from omni.core.errors import ContextOverflow, EngineError
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine import Engines
from omni.engine.embeddings import PIECE_LETTERS, PIECE_TEXTS, chance, pieces, readable, relevances_of, too_long
from omni.keeper import WorkerSpec
from tests.embedding_tools import RANK, Bert, Ranker, near
from tests.engine.conftest import Make
from tests.engine.engine_tools import scripted_spec
from tests.engine.test_engines import machine


def spec_of(path: Path, home: Home) -> WorkerSpec:
    """As a front end would load the file."""
    header = read_header(path)
    base = Base(id="bert", path=str(path), parts=(str(path),), size=header.file_bytes, header=header, origin="file")
    keeper: Any = SimpleNamespace()
    return Engines(home, keeper, Settings(), machine(16)).spec(Brain(name="@me/bert", state="not chat", base=base))


@pytest.mark.real
@pytest.mark.parametrize("pooling", [1, 2, None])
async def test_vectors_are_what_the_models_numbers_say(
    worker_engine: Make, home: Home, tmp_path: Path, pooling: int | None
) -> None:
    """With the mean of all tokens, with the first one's, and with the mean where the file does not say."""
    bert = Bert(pooling=pooling)
    spec = spec_of(bert.write(tmp_path / "bert.gguf"), home)
    assert spec.settings.get("pooling") == ("mean" if pooling is None else None)
    texts = {
        "The sea!": ("▁the", "▁sea", "▁!"),
        "a  hill\n": ("▁a", "▁hill"),
        "ÜBER seas": ("▁uber", "▁sea", "s"),
        "U\u0308ber": ("▁uber",),
        "海": ("▁海",),
        "한": ("▁ᄒ", "ᅡ", "ᆫ"),
        "🚀": ("[UNK]",),
        "word " * 62: ("▁word",) * 62,
        " ": (),
    }
    async with worker_engine(spec) as engine:
        vectors = await engine.embed(list(texts))
        assert vectors.tokens == sum(len(words) + 2 for words in texts.values())
        for words, vector in zip(texts.values(), vectors, strict=True):
            assert near(vector, bert.vector(*words)) > 0.9999, words
        with pytest.raises(ContextOverflow) as refused:
            await engine.embed(["the sea", "word " * 63])
        assert (refused.value.needed, refused.value.allocated) == (65, 64)


@pytest.mark.real
async def test_ranks_are_what_the_models_numbers_say(worker_engine: Make, home: Home, tmp_path: Path) -> None:
    """One number of a question and a text, read together as BERT reads pairs, between 0 and 1."""
    bert = Bert(pooling=RANK)
    spec = spec_of(bert.write(tmp_path / "rank.gguf"), home)
    assert (spec.settings["pooling"], spec.settings["scores"]) == ("rank", "logit")
    texts = {"a hill": ("▁a", "▁hill"), "The sea!": ("▁the", "▁sea", "▁!"), "한": ("▁ᄒ", "ᅡ", "ᆫ"), "🚀": ("[UNK]",)}
    texts |= {"word " * count: ("▁word",) * count for count in range(1, 2 * PIECE_TEXTS)}
    async with worker_engine(spec) as engine:
        assert ((await engine.capabilities()).embeds, (await engine.capabilities()).reranks) == (False, True)
        ranks = await engine.rerank("the sea", list(texts))
        assert ranks.tokens == sum(len(words) + 5 for words in texts.values())
        expected = [bert.relevance(("▁the", "▁sea"), words) for words in texts.values()]
        assert max(expected) - min(expected) > 0.3
        assert ranks == pytest.approx(expected, abs=0.005)
        with pytest.raises(
            ContextOverflow, match="A text and the question have 65 tokens; 64 can be read at once"
        ) as long:
            await engine.rerank("the sea", ["the sea", "word " * 60])
        assert (long.value.needed, long.value.allocated) == (65, 64)
        with pytest.raises(EngineError, match="not loaded for embeddings"):
            await engine.embed(["the sea"])


@pytest.mark.real
async def test_a_ranker_that_says_yes_or_no_is_asked_by_its_own_words(
    worker_engine: Make, home: Home, tmp_path: Path
) -> None:
    """Qwen's: the chance of a yes, after the template that its file has for it."""
    ranker = Ranker()
    spec = spec_of(ranker.write(tmp_path / "ranker.gguf"), home)
    assert (spec.settings["pooling"], spec.settings["scores"]) == ("rank", "chance")
    texts = ["a hill", "waves!", "the sea: deep", "sand"]
    async with worker_engine(spec) as engine:
        ranks = await engine.rerank("the sea", texts)
    expected = [ranker.relevance("the sea", text) for text in texts]
    assert max(expected) - min(expected) > 0.05
    assert ranks == pytest.approx(expected, abs=0.005)


def test_a_score_is_a_chance_whatever_the_model_gave() -> None:
    told: dict[str, Any] = {"results": [{"index": 1, "relevance_score": 0.0}, {"index": 0, "relevance_score": 900}]}
    told["usage"] = {"prompt_tokens": 9}
    assert relevances_of(told, logits=True) == [1.0, 0.5]
    assert relevances_of(told, logits=False) == [900, 0.0]
    assert chance(-900) == 0.0
    with pytest.raises(EngineError, match="unknown form"):
        relevances_of({"results": [{}]}, logits=True)


@given(st.lists(st.text(max_size=20) | st.integers(1, 3 * PIECE_LETTERS).map("x".__mul__), max_size=60))
def test_pieces_hold_every_text_once_and_are_small(texts: list[str]) -> None:
    batches = list(pieces(texts))
    assert sorted(at for piece in batches for at in piece) == list(range(len(texts)))
    for piece in batches:
        assert len(piece) == 1 or sum(len(texts[at]) for at in piece) <= PIECE_LETTERS
        assert 0 < len(piece) <= PIECE_TEXTS
    lengths = [len(texts[at]) for piece in batches for at in piece]
    assert lengths == sorted(lengths, reverse=True)


def test_only_berts_vocabulary_has_syllables_in_parts() -> None:
    assert readable("한é", "bert") == "\u1112\u1161\u11abe\u0301"
    assert readable("한é", "gpt2") == "한é"


def test_what_is_too_long_is_told_alike() -> None:
    for needed, allocated, most in ((65, 64, 64), (9001, 8192, 8192), (8192, 8192, 8191)):
        overflow = too_long(ContextOverflow("The prompt does not fit.", needed=needed, allocated=allocated))
        assert (overflow.needed, overflow.allocated) == (needed, most)
        assert overflow.message == f"A text has {needed:,} tokens; {most:,} can be read for one vector."


async def test_a_thousand_texts_let_others_in(worker_engine: Make) -> None:
    """Who asks for one vector does not wait until all of another's are there."""
    order: list[str] = []
    async with worker_engine(scripted_spec(embeddings=1, slots=1)) as engine:
        await engine.embed(["loaded"])

        async def ask(name: str, texts: list[str]) -> None:
            vectors = await engine.embed(texts)
            order.append(name)
            assert [one == vectors[0] for one in vectors] == [text == texts[0] for text in texts]

        many = [f"text number {number}" for number in range(100 * PIECE_TEXTS)]
        async with asyncio.TaskGroup() as group:
            group.create_task(ask("many", many))
            group.create_task(ask("one", ["sea"]))
    assert order == ["one", "many"]


async def test_texts_are_ranked_in_their_order_however_many(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec(embeddings=1, pooling="rank", scores="chance")) as engine:
        texts = [("sea " * (number % 3)) + "hill" for number in range(5 * PIECE_TEXTS)]
        assert await engine.rerank("sea", texts) == [float(number % 3 > 0) for number in range(5 * PIECE_TEXTS)]


async def test_a_worker_that_was_not_loaded_for_vectors_makes_none(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec()) as engine:
        with pytest.raises(EngineError, match="not loaded for embeddings"):
            await engine.embed(["sea"])
