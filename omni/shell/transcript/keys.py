"""The keys of the transcript while it has the keyboard; letters act on the focused block."""

from textual.binding import Binding

# g is left to the frame: with a letter it shows the pane of a plug-in
KEYS = (
    Binding(
        "shift+tab,k",
        "block(-1)",
        "up a block",
        id="transcript.previous",
        show=False,
        tooltip="Focus the block above",
    ),
    Binding("tab,j", "block(1)", "down a block", id="transcript.next", show=False, tooltip="Focus the block below"),
    Binding("c", "act('copy')", "copy", id="transcript.copy", tooltip="Copy the text of this block"),
    Binding("y", "act('code')", "copy code", id="transcript.code", tooltip="Copy the code block in view"),
    Binding("e", "act('edit')", "edit", id="transcript.edit", tooltip="Ask this question differently, on a new branch"),
    Binding("r", "act('retry')", "retry", id="transcript.retry", tooltip="Have this answer written again"),
    Binding("u", "act('undo')", "undo", id="transcript.undo", tooltip="Take the last question back"),
    Binding(
        "o",
        "act('resume')",
        "go on",
        id="transcript.resume",
        show=False,
        tooltip="Go on with an interrupted answer",
    ),
    Binding("enter", "fold", "fold", id="transcript.fold", tooltip="Fold or unfold thoughts, else the block"),
    Binding(
        "left_square_bracket",
        "act('older')",
        "branch",
        id="transcript.older",
        show=False,
        tooltip="Show the branch before this one",
    ),
    Binding(
        "right_square_bracket",
        "act('newer')",
        "branch",
        id="transcript.newer",
        show=False,
        tooltip="Show the branch after this one",
    ),
    Binding("n", "find(1)", "next hit", id="transcript.find_next", show=False, tooltip="Go to the next place found"),
    Binding(
        "N",
        "find(-1)",
        "last hit",
        id="transcript.find_previous",
        show=False,
        tooltip="Go to the place found before",
    ),
    Binding("up", "lines(-1)", "up", id="transcript.up", show=False, tooltip="One line up"),
    Binding("down", "lines(1)", "down", id="transcript.down", show=False, tooltip="One line down"),
    Binding("pageup", "page(-1)", "page up", id="transcript.page_up", show=False, tooltip="One page up"),
    Binding("pagedown,space", "page(1)", "page down", id="transcript.page_down", show=False, tooltip="One page down"),
    Binding("home", "top", "top", id="transcript.top", show=False, tooltip="The beginning"),
    Binding("end", "tail", "end", id="transcript.tail", show=False, tooltip="The end; follow what is written"),
    Binding("escape", "leave", "back", id="transcript.leave", tooltip="Back to the composer"),
)
