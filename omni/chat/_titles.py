"""Titles without a model: the beginning of the question, shortened."""

import re
import unicodedata

LONGEST = 60
_MARKS = re.compile(r"^(?:[#>*+-]+\s+|`{3,}.*|~{3,}.*|\d+[.)]\s+)+")


def title_of(text: str, *, longest: int = LONGEST) -> str:
    """The first paragraph that says something, in one line, without Markdown's marks and control characters.

    >>> title_of("  ## How do I *sort* a list?\\n\\nI tried everything.")
    'How do I *sort* a list?'
    >>> title_of("Why is it slow,\\nand what helps?")
    'Why is it slow, and what helps?'
    """
    paragraph: list[str] = []
    for line in text.splitlines():
        words = "".join(" " if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") else sign for sign in line)
        words = " ".join(words.split())
        bare = _MARKS.sub("", words).strip()
        if paragraph and (not words or bare != words):
            break
        if any(sign.isalnum() for sign in bare):
            paragraph.append(bare)
            if bare != words or sum(map(len, paragraph)) > longest:  # a heading or an item says enough by itself
                break
    if paragraph:
        return _shortened(" ".join(paragraph).rstrip(": "), longest)
    words = " ".join(text.split())
    return _shortened(words, longest) if words and words.isprintable() else "Untitled"


def _shortened(words: str, longest: int) -> str:
    if len(words) <= longest:
        return words
    cut = words[: longest - 1]
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) > longest // 2 else cut).rstrip(" ,;:.-") + "…"
