"""`omni completion`: what makes Tab work."""

import click
from click.shell_completion import FishComplete, ZshComplete

# click's own script takes the words that bash made, which breaks `@omni/coder` at the @ and `llama3.2:3b` at the colon.
# This one splits at blanks only, and cuts off what bash takes for words of their own.
BASH = """\
_omni_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" words current kept response type value
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    kept="${current%"${current##*[@:=]}"}"
    local IFS=$'\\n'
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _OMNI_COMPLETE=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
        dir) compopt -o dirnames ;;
        file) compopt -o default ;;
        plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done <<< "$response"
}
complete -o nosort -F _omni_completion omni
"""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for your shell.

    \b
    bash:  omni completion bash > ~/.local/share/bash-completion/completions/omni
    zsh:   omni completion zsh > "${fpath[1]}/_omni"
    fish:  omni completion fish > ~/.config/fish/completions/omni.fish
    """
    click.echo(script(shell).rstrip())


def script(shell: str) -> str:
    """The script for one shell."""
    if shell == "bash":
        return BASH
    from omni.cli.main import omni

    kind = {"zsh": ZshComplete, "fish": FishComplete}[shell]
    return kind(omni, {}, "omni", "_OMNI_COMPLETE").source()
