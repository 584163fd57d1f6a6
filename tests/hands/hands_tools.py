"""What the tests of this room share: a project with something to hide, rules as a person would write them, and acts."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from omni.core.paths import Home
from omni.hands import ConsentJudge, Judgement, ToolAct, rule_of

MOMENT = datetime(2026, 12, 1, tzinfo=UTC)
ALLOWED = ("git status", "git diff", "git log", "ls", "cat", "grep", "find", "sed", "sort", "pytest", "python -m pytest", "npm test", "npm run build", "make test", "cargo test", "go test", "ruff check", "tee", "mkdir")  # fmt: skip
DENIED = ("rm",)


def make_project(folder: Path) -> Path:
    """A project, beside which something lies that is not its own."""
    project = folder / "project"
    for name in ("src/deep", "tests", "docs", ".git/hooks", "keys"):
        (project / name).mkdir(parents=True)
    for name in ("src/app.py", "src/util.py", "src/deep/core.py", "tests/test_app.py", "README.md", "package.json", "Makefile", "data.txt", "docs/guide.md", ".git/config"):  # fmt: skip
        (project / name).write_text("some text\n")
    for name in (".env", "keys/id_ed25519", "keys/server.pem", ".npmrc", "src/.env.local"):
        (project / name).write_text("secret\n")
    (project / ".env.example").write_text("NAME=\n")
    (folder / "outside").mkdir()
    (folder / "outside" / "private.txt").write_text("private\n")
    (project / "way-out").symlink_to(folder / "outside")
    (project / "way-out.txt").symlink_to(folder / "outside" / "private.txt")
    (project / "way-to-env").symlink_to(".env")
    (project / "links").mkdir()
    (project / "links" / "out.txt").symlink_to(folder / "outside" / "private.txt")
    return project


def with_rules(home: Home, *, allow: tuple[str, ...] = ALLOWED, deny: tuple[str, ...] = DENIED) -> ConsentJudge:
    """A judge whose rules allow and deny these commands."""
    judge = ConsentJudge(home)
    judge.book.keep(*(rule_of("allow", "shell", words, made=MOMENT) for words in allow))
    judge.book.keep(*(rule_of("deny", "shell", words, made=MOMENT) for words in deny))
    return judge


def shell(project: Path, command: str, *, conversation: str = "talk") -> ToolAct:
    """An agent wants to run a command."""
    return ToolAct(
        tool="shell",
        touches=("shell",),
        folder=str(project),
        project=str(project),
        command=command,
        agent="@me/helper",
        conversation=conversation,
    )


def on_path(project: Path, touch: str, path: str | Path, *, tool: str = "") -> ToolAct:
    """An agent wants to read or write a path."""
    assert touch in ("read", "write")
    return ToolAct(
        tool=tool or touch,
        touches=(touch,),  # type: ignore[arg-type] # one of the two
        folder=str(project),
        project=str(project),
        path=str(path),
        agent="@me/helper",
        conversation="talk",
    )


Judged = Callable[[str], Judgement]
