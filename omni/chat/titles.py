"""Titles without a model: the first line of the question, shortened."""

import re
import unicodedata

LONGEST = 60


def title_of(text: str, *, longest: int = LONGEST) -> str:
    """The first line that says something, without Markdown's marks and control characters.

    >>> title_of("  ## How do I *sort* a list?\\n\\nI tried everything.")
    'How do I *sort* a list?'
    """
    for line in text.splitlines():
        words = "".join(" " if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") else sign for sign in line)
        words = re.sub(r"^(?:[#>*+-]+\s+|`{3,}.*|~{3,}.*|\d+[.)]\s+)+", "", " ".join(words.split())).strip()
        if any(sign.isalnum() for sign in words):
            return _shortened(words, longest)
    words = " ".join(text.split())
    return _shortened(words, longest) if words and words.isprintable() else "Untitled"


def _shortened(words: str, longest: int) -> str:
    if len(words) <= longest:
        return words
    cut = words[: longest - 1]
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) > longest // 2 else cut).rstrip(" ,;:.-") + "…"
