"""Writes the command reference from the commands themselves: `python -m omni.cli.reference [--check]`.

`omni/cli/reference.txt` answers `--help` before the environment is made, `docs/cli.md` is the same for readers.
"""

import sys
from pathlib import Path

import click

from omni.cli.main import omni
from omni.environment.reference import MARK

WIDTH = 98  # what `max_content_width` of the root command leaves of a wide terminal


def pages() -> dict[str, str]:
    """The help of every command by its path, as it is printed on a wide terminal."""
    texts: dict[str, str] = {}

    def walk(command: click.Command, parent: click.Context | None, name: str) -> None:
        context = click.Context(command, parent=parent, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        context.help_option_names = ["-h", "--help"]
        context.params["safe"] = True  # what happens to be installed here is not part of the manual
        texts[context.command_path] = command.get_help(context) + "\n"
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                if child := command.get_command(context, each):
                    walk(child, context, each)

    walk(omni, None, "omni")
    return texts


def files(root: Path) -> dict[Path, str]:
    """What the two files must hold."""
    help_pages = pages()
    text = "".join(f"{MARK}{path}\n{page}" for path, page in help_pages.items())
    manual = "# The command line\n\nWritten by `make docs` from the commands themselves.\n" + "".join(
        f"\n## `{path}`\n\n```\n{page}```\n" for path, page in help_pages.items()
    )
    return {root / "omni" / "cli" / "reference.txt": text, root / "docs" / "cli.md": manual}


def main() -> int:
    """Write the files, or with `--check` only say which are stale."""
    stale = {
        path: text
        for path, text in files(Path(__file__).resolve().parents[2]).items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    for path, text in stale.items():
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        sys.stdout.write(f"{path.name} {'is stale: run `make docs`' if '--check' in sys.argv else 'written'}\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
