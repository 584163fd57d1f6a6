"""Looks for stop sequences in an answer: the protocol tells which one ended it, and engines do not."""

from collections.abc import Sequence


class Stops:
    """Text in, text that may be sent out. What may be the beginning of a sequence is held back."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(sequence for sequence in sequences if sequence)
        self._held = ""
        self.sequence: str | None = None

    def read(self, text: str) -> str:
        """What can be sent now. Once `found` says which sequence came, nothing that follows is."""
        if not self._sequences:
            return text
        if self.sequence is not None:
            return ""
        self._held += text
        places = [(at, sequence) for sequence in self._sequences if (at := self._held.find(sequence)) >= 0]
        if places:
            at, self.sequence = min(places, key=lambda place: (place[0], -len(place[1])))
            sent, self._held = self._held[:at], ""
            return sent
        keep = max(_begins(self._held, sequence) for sequence in self._sequences)
        sent, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return sent

    def rest(self) -> str:
        """What was held back at the end of the answer, and was no sequence."""
        sent, self._held = self._held, ""
        return sent


def _begins(text: str, sequence: str) -> int:
    """How many characters at the end of `text` are the beginning of `sequence`."""
    return next((n for n in range(min(len(text), len(sequence) - 1), 0, -1) if text.endswith(sequence[:n])), 0)
