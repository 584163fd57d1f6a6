"""All tools, by their names."""

from omni.hands import tools
from omni.hands.tool import HandTool


def all_tools() -> dict[str, HandTool]:
    """The tools that brains may be given."""
    every = (
        tools.READ_FILE,
        tools.LIST_FILES,
        tools.SEARCH,
        tools.OUTLINE_FILE,
        tools.EDIT_SYMBOL,
        tools.WRITE_FILE,
        tools.EDIT_FILE,
        tools.RUN_COMMAND,
        tools.RUN_PYTHON,
        tools.ASK_PERSON,
    )
    return {tool.name: tool for tool in every}
