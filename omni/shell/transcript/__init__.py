"""The transcript: one widget that draws the lines of a conversation, never a widget per message."""

from omni.shell.transcript.entry import Entry
from omni.shell.transcript.reader import Transcript

__all__ = ["Entry", "Transcript"]
