"""Writes what is generated: `python -m docs.generate` (or `make docs`); with `--check` it only says what is stale.

The command line and the settings describe themselves; the schemas are those that check the files when they are read.
"""

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from docs import typescript
from omni.cartridges import manifest_schema
from omni.cli import reference
from omni.core import at_rest
from omni.core.settings import Settings, described
from omni.shell.theme import ThemeFile

ROOT = Path(__file__).resolve().parents[1]
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def files(root: Path = ROOT) -> dict[Path, str]:
    """Every generated file and what it must hold."""
    schemas = root / "docs" / "schemas"
    return {
        **reference.files(root),
        root / "docs" / "settings.md": settings_page(),
        root / "docs" / "privacy.md": privacy_page((root / "docs" / "privacy.md").read_text("utf-8")),
        schemas / "cartridge.schema.json": schema("A cartridge of Omni (cartridge.toml)", manifest_schema()),
        root / "omni" / "server" / "web" / "src" / "wire.ts": typescript.wire(),
        schemas / "theme.schema.json": schema("A theme of Omni (NAME.toml)", msgspec.json.schema(ThemeFile)),
    }


def schema(title: str, definition: dict[str, Any]) -> str:
    """A JSON Schema with its draft and title, as editors want it."""
    return json.dumps({"$schema": DRAFT, "title": title, **definition}, indent=2) + "\n"


def settings_page() -> str:
    """The manual of `config.toml`."""
    text = (
        "# Settings\n\nWritten by `make docs` from the settings themselves.\n\n"
        "They stand in `config.toml` of Omni's home (`omni config path`), which is made when the first one is changed:\n"
        "in the shell, by `omni config set KEY VALUE`, or in an editor. A key that Omni does not know is refused with its\n"
        "line, its column and the nearest known one; `omni config check` reads the file and says so too.\n"
    )
    section = ""
    for key, (kind, default, meaning) in described().items():
        table, _, name = key.partition(".")
        if table != section:
            section = table
            about = (type(getattr(Settings(), table)).__doc__ or "").splitlines()[0]
            text += f"\n## `[{table}]`\n\n{about}\n\n| key | takes | default | what it decides |\n|---|---|---|---|\n"
        text += f"| `{name}` | {takes(kind)} | `{toml(default)}` | {meaning} |\n"
    return text + _EXAMPLE


def privacy_page(page: str) -> str:
    """The page as it is, with the table of what lies on the disk written anew."""
    before, heading, after = page.partition("## What lies on the disk\n")
    text, _, rest = after.partition("\n| file |")
    below = rest[rest.index("\n\n") :]
    return f"{before}{heading}{text}\n{at_rest.table().rstrip()}{below}"


def takes(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    if get_origin(kind) is list:
        return "a list of texts"
    if get_origin(kind) is dict:
        return "a table of texts"
    return {str: "text", bool: "`true` or `false`", int: "a whole number", float: "a number"}[kind]


def toml(value: Any) -> str:
    """A value as TOML has it."""
    return json.dumps(value, ensure_ascii=False)


_EXAMPLE = """
## An example

```toml
# config.toml
[ui]
theme = "omni-light"

[ui.keys]
air-gap = "f12,ctrl+g"     # the ids of bindings stand in the help: F1, then i

[chat]
brain = "@omni/coder"

[engine]
context = 32768
keep_alive = 60
```
"""


def main() -> int:
    """Write the files, or with `--check` only say which are stale."""
    check = "--check" in sys.argv
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)} {'is stale: run `make docs`' if check else 'written'}\n")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
