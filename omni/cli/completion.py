"""`omni completion`: what makes Tab work."""

import click
from click.shell_completion import get_completion_class

from omni.core.errors import OmniError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for your shell.

    \b
    bash:  omni completion bash > ~/.local/share/bash-completion/completions/omni
    zsh:   omni completion zsh > "${fpath[1]}/_omni"
    fish:  omni completion fish > ~/.config/fish/completions/omni.fish
    """
    from omni.cli.main import omni

    kind = get_completion_class(shell)
    if kind is None:
        raise OmniError(f"There is no completion for {shell}.")
    click.echo(kind(omni, {}, "omni", "_OMNI_COMPLETE").source())
