"""Names of brains as arguments, which Tab completes."""

import click
from click.shell_completion import CompletionItem

from omni.core.errors import OmniError


class BrainName(click.ParamType[str]):
    """A brain's name. Nothing is looked up before the command runs."""

    name = "brain"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - as above
        incomplete: str,
    ) -> list[CompletionItem]:
        """The known names that go on from what was typed."""
        import asyncio

        names = asyncio.run(_names())
        matches = [name for name in names if name.startswith(incomplete)]
        return [CompletionItem(name) for name in matches]


BRAIN = BrainName()


async def _names() -> list[str]:
    """All names; none where the library cannot be read: a Tab key is no moment for errors."""
    from omni.cartridges import Library
    from omni.core.paths import Home
    from omni.core.settings import Settings

    home = Home.from_environment()
    if not home.root.is_dir():
        return []
    try:
        library = Library(home, Settings.load(home.config))
        try:
            return [brain.name for brain in await library.brains()]
        finally:
            await library.close()
    except OmniError:
        return []
