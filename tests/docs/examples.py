"""The examples of the papers: fenced blocks whose first line is a comment with a file's name."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(?:toml|python)\n# ([\w./-]+\.\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def examples(page: str) -> dict[str, str]:
    """The files of one page by the name that they give themselves."""
    return {name: f"# {name}\n{body}" for name, body in _BLOCK.findall((DOCS / page).read_text("utf-8"))}


def write(page: str, folder: Path) -> list[Path]:
    """Write the files of one page where they say that they belong."""
    paths = []
    for name, text in examples(page).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        paths.append(path)
    return paths
