"""Texts that a grammar admits, found by walking through it as an engine does, byte by byte and by chance."""

import random

from llguidance import LLMatcher, LLTokenizer

from omni.schemas import Compiled, Grammar

LONGEST = 4000
_ENDING = dict.fromkeys(b'"}]', 6) | dict.fromkeys(b",:", 2)  # bytes that bring an answer nearer to its end


def grammar_of(compiled: Compiled, characters: int | None = None) -> str:
    """The grammar of an answer that is a value of `compiled`."""
    grammar = Grammar()
    return grammar.text(compiled.rule(grammar, characters))


def walk(grammar: str, chance: random.Random, *, longest: int = LONGEST) -> str | None:
    """A text that the grammar admits; None when it grows too long. Fails where the engine would give up."""
    matcher = LLMatcher(LLTokenizer("byte"), grammar)
    assert not matcher.is_error(), matcher.get_error()
    prefix = bytearray()
    while len(prefix) < longest:
        if matcher.is_accepting() and chance.random() < 0.3:
            return prefix.decode()
        allowed = [byte for byte, bias in enumerate(matcher.compute_logit_bias()[:256]) if bias]
        if not allowed:
            assert matcher.is_accepting(), f"nothing may follow {prefix[-200:]!r}: {matcher.get_error()}"
            return prefix.decode()
        ending = [byte for byte in allowed if byte in _ENDING]
        plain = [byte for byte in allowed if byte < 0x80]
        if ending and chance.random() < 0.4:
            byte = chance.choices(ending, [_ENDING[one] for one in ending])[0]
        else:
            byte = chance.choice(plain if plain and chance.random() < 0.98 else allowed)
        assert matcher.consume_token(byte), matcher.get_error()
        prefix.append(byte)
    return None


def admits(grammar: str, text: str) -> bool:
    """Whether the grammar admits exactly this text."""
    matcher = LLMatcher(LLTokenizer("byte"), grammar)
    assert not matcher.is_error(), matcher.get_error()
    return all(matcher.consume_token(byte) for byte in text.encode()) and matcher.is_accepting()
