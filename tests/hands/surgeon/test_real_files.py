"""Real files of installed packages: of each, the bytes outside of an edit are as they were, whatever its newlines are."""

import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.hands.surgeon import EditRefused, Symbol, SymbolEdit, edited, language_of, outline

ROOT = Path(__file__).resolve().parents[3]
PLACES = (
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "include")),
    ROOT / "omni" / "server" / "web",
    Path("/usr/include"),
    Path("/usr/share"),
)
NEW = {
    "python": "def omni_new(a):\n    return a",
    "javascript": "function omni_new(a) {\n  return a;\n}",
    "typescript": "function omni_new(a) {\n  return a;\n}",
    "tsx": "function omni_new(a) {\n  return a;\n}",
    "c": "int omni_new(int a)\n{\n    return a;\n}",
    "cpp": "int omni_new(int a)\n{\n    return a;\n}",
    "css": ".omni_new {\n  color: red;\n}",
}


def files(most: int, largest: int = 100_000) -> list[Path]:
    """So many files, in an order that is the same each time, and of each language its share."""
    by_language: dict[str, list[Path]] = {}
    for place in PLACES:
        for path in sorted(place.rglob("*")) if place.is_dir() else ():
            if (language := language_of(path.name)) in NEW and "node_modules" not in path.parts and path.is_file():
                by_language.setdefault(language or "", []).append(path)
    picked: list[Path] = []
    for language, paths in sorted(by_language.items()):
        random.Random(language).shuffle(paths)
        share = most if language == "python" else most // 8
        picked += [path for path in paths[: 2 * share] if 20 < path.stat().st_size < largest][:share]
    return picked


def variants(source: bytes) -> Iterator[bytes]:
    """The source, and as others would write it."""
    yield source
    if b"\r" not in source and not source.startswith(b"\xef\xbb\xbf"):
        yield b"\xef\xbb\xbf" + source.replace(b"\n", b"\r\n")
        yield source.rstrip(b"\n")
        lines = source.split(b"\n")
        yield b"".join(line + (b"\r\n", b"\n")[at % 2] for at, line in enumerate(lines[:-1])) + lines[-1]


def whole_lines(source: bytes, symbol: Symbol) -> str:
    """A symbol as it stands there, with the blanks before it where nothing else is."""
    begin = source.rfind(b"\n", 0, symbol.start) + 1
    begin = begin if not source[begin : symbol.start].strip() else symbol.start
    return source[begin : symbol.end].decode()


def check(source: bytes, language: str, rng: random.Random) -> tuple[int, list[str]]:
    """Replace a symbol by itself, put another beside it and take that away again: how many edits were done, and what is wrong."""
    try:
        symbols = outline(source, language)
    except EditRefused:
        return 0, []
    symbols = tuple(one for one in symbols if not source[source.rfind(b"\n", 0, one.start) + 1 : one.start].strip())
    if not symbols:  # or all stand behind others in one line
        return 0, []
    symbol, count, wrong = rng.choice(symbols), 0, []
    mixed = 0 < source.count(b"\r\n") < source.count(b"\n")  # inside of an edit newlines become alike
    try:
        edited(source, language, SymbolEdit(action="replace", symbol=symbol.name, text=whole_lines(source, symbol)))
        wrong += [] if mixed else [f"replacing {symbol.name} by itself"]
    except EditRefused as refusal:
        if "Nothing would change" not in refusal.message:
            wrong += [] if language in ("c", "cpp") else [f"{symbol.name}: {refusal.message}"]
        else:
            count += 1
    try:
        more = edited(source, language, SymbolEdit(action="insert_after", symbol=symbol.name, text=NEW[language]))
        (name,) = [one.name for one in outline(more, language) if one.name.endswith("omni_new")]
        less = edited(more, language, SymbolEdit(action="delete", symbol=name))
    except (EditRefused, ValueError):
        return count, wrong
    return count + 2, wrong if less == source else [*wrong, f"adding to {symbol.name} and taking away"]


def run(most: int) -> tuple[int, int, list[str]]:
    """How many files were edited, in how many edits, and what was wrong with which."""
    edits, done, wrong = 0, 0, list[str]()
    for path in files(most):
        rng = random.Random(path.name)
        count = 0
        for source in variants(path.read_bytes()):
            more, faults = check(source, language_of(path.name, source) or "", rng)
            count += more
            wrong += [f"{path}: {fault}" for fault in faults]
        edits, done = edits + count, done + bool(count)
    return done, edits, wrong


@pytest.mark.real
def test_three_hundred_real_files_keep_what_is_outside_of_an_edit() -> None:
    done, edits, wrong = run(195)
    assert done >= 300
    assert edits > 1200
    assert len(wrong) <= done // 200, wrong  # C with macros reads otherwise than a compiler does


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_five_thousand_real_files_keep_what_is_outside_of_an_edit() -> None:
    done, edits, wrong = run(5_200)
    print(f"{done} files, {edits} edits, {len(wrong)} faults")
    assert done >= 5_000
    assert len(wrong) <= done // 200, wrong
