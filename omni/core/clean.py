"""Text from anywhere, made safe to show: no escape sequence, control character or direction override survives."""

import re

# A string sequence (OSC, DCS …) ends at its terminator, at a line break, or after 512 characters, so that nothing can
# swallow a whole answer by never ending.
_STRING = r"\x1b[\]PX^_][^\x07\x1b\n]{0,512}"
_SEQUENCES = re.compile(rf"{_STRING}(?:\x07|\x1b\\)?|\x1b\[[0-?]{{0,64}}[ -/]{{0,8}}[@-~]?|\x1b[ -/]{{0,8}}[0-~]?|\x1b")
_UNFINISHED = re.compile(rf"(?:{_STRING}\x1b?|\x1b\[[0-?]{{0,64}}[ -/]{{0,8}}|\x1b[ -/]{{0,8}}|\r)\Z")
# C0 without tab and line feed, DEL, C1, direction overrides and isolates, the byte order mark, lone surrogates.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` without escape sequences and control characters; line ends become line feeds."""
    if not _SUSPECT.search(text):
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _SEQUENCES.sub("", text)
    text = re.sub("[\u2028\u2029]", "\n", text)
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


class Cleaner:
    """Cleans text that arrives in pieces: whatever the pieces are, the whole equals `clean` of the whole."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of what came so far that is certain; an unfinished sequence is held back."""
        text = self._held + text
        self._held = ""
        if ("\x1b" in text or "\r" in text) and (unfinished := _UNFINISHED.search(text)):
            self._held = text[unfinished.start() :]
            text = text[: unfinished.start()]
        return clean(text)

    def finish(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return clean(held)


def visible(text: str) -> str:
    """`text` with all that `clean` would take away written out, as in `\\x1b`: for what a person is to judge as it is."""
    return _SUSPECT.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)
