"""`omni embed`: vectors of texts from arguments, files and pipes, and what is said where there is no text or no brain for them."""

import json
from pathlib import Path

import pytest

from omni.cartridges import EMBEDDER_HINT
from tests.cli.tools import Cli
from tests.embedding_tools import RANK, Bert, near

pytestmark = pytest.mark.real  # every test here starts processes


def numbers(line: str) -> list[float]:
    return [float(each) for each in line.split(" ")]


def test_vectors_are_what_the_models_numbers_say(cli: Cli, tmp_path: Path) -> None:
    bert = Bert()
    model = str(bert.write(tmp_path / "mystery.gguf"))
    first = cli.run("embed", "--brain", model, "the sea", "a hill")
    assert (first.code, first.err) == (0, "")
    sea, hill = map(numbers, first.out.splitlines())
    assert near(sea, bert.vector("▁the", "▁sea")) > 0.9999
    assert near(hill, bert.vector("▁a", "▁hill")) > 0.9999
    piped = cli.run("embed", "--json", stdin=b"the sea\n\na hill\r\n")
    assert [json.loads(line)["text"] for line in piped.out.splitlines()] == ["the sea", "a hill"]
    for line, vector in zip(piped.out.splitlines(), (sea, hill), strict=True):
        assert json.loads(line)["embedding"] == pytest.approx(vector, abs=1e-5)
    (tmp_path / "sea.txt").write_text("\ufeffthe sea\n", "utf-8")
    named = cli.run(
        "embed", "a hill", "--file", str(tmp_path / "sea.txt"), "--json", "--dimensions", "8"
    ).out.splitlines()
    text, file = map(json.loads, named)
    assert (text["text"], file["file"]) == ("a hill", str(tmp_path / "sea.txt"))
    assert near(file["embedding"], file["embedding"]) == pytest.approx(1, abs=1e-6)
    assert len(file["embedding"]) == len(text["embedding"]) == 8
    many = cli.run("embed", stdin=b"the sea\n" * 600).out.splitlines()
    assert len(many) == 600
    assert near(numbers(many[599]), sea) > 0.9999
    long = cli.run("embed", "word " * 63)
    assert (long.code, long.out) == (6, "")
    assert "A text has 65 tokens; 64 can be read for one vector." in long.err
    assert cli.run("embed", "the sea", "--dimensions", "33").code == 2
    rank = cli.run("embed", "-b", str(Bert(pooling=RANK).write(tmp_path / "rank.gguf")), "the sea")
    assert rank.code == 3
    assert "@me/rank makes no vectors: a reranker" in rank.err


def test_a_brain_that_chats_makes_vectors_where_it_is_named(scripted: Cli) -> None:
    assert scripted.run("embed", "--brain", "tiny", "the sea").out.count(" ") == 7
    without = scripted.run("embed", "the sea")
    assert (without.code, without.out) == (3, "")
    assert without.err == (f"omni: No brain is here yet that makes vectors.\n      {EMBEDDER_HINT}\n")
    missing = scripted.run("embed", "--brain", "@omni/smollm2", "the sea")
    assert missing.code == 3
    assert "@omni/smollm2 makes no vectors: it is not here yet." in missing.err
    assert "`omni pull @omni/smollm2` fetches it" in missing.err


def test_where_there_is_no_text_there_is_no_vector(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text(" \n", "utf-8")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\0")
    for words, code, said in (
        ([], 2, "There is no text: neither TEXTS nor a FILE"),
        ([" "], 2, "A text is empty."),
        (["-f", str(tmp_path / "none.txt")], 2, "none.txt is empty."),
        (["-f", str(tmp_path / "picture.txt")], 8, "picture.txt is not text."),
        (["-f", str(tmp_path / "missing.txt")], 2, "missing.txt"),
    ):
        result = cli.run("embed", *words, stdin=b"\n \n")
        assert (result.code, result.out, said in result.err) == (code, "", True), result
