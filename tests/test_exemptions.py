"""Whoever lets a linter or a type checker pass says why: on the line, or here where a whole room has one reason."""

import io
import re
import tokenize
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROOTS = ("omni", "tests", "benchmarks", "docs")

_NOQA = re.compile(r"# noqa(?P<codes>: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*)?(?P<rest>.*)")
_IGNORE = re.compile(r"# type: ignore(?P<codes>\[[a-z-]+(, ?[a-z-]+)*\])?(?P<rest>.*)")

# By the beginning of a path and what is not looked at.
REASONS = {
    ("omni/shell/", "A001"): "`id` is what Textual and the field call it",
    ("omni/shell/", "A002"): "`id` is what Textual and the field call it",
    ("omni/shell/", "ARG002"): "Textual calls it with these, used or not",
    ("omni/shell/", "RUF012"): "as Textual declares it",
    ("omni/shell/failsafe.py", "arg-type"): "what Textual hands over is an exception, whatever its type says",
    ("omni/shell/listing.py", "index"): "looked at by the same index just before",
    ("omni/shell/panes/", "operator"): "what a dialog does when it is agreed to is any call",
    ("omni/shell/themed_app.py", "arg-type"): "Rich lists the names of depths, and ours come from its own",
    ("omni/shell/transcript/", "import-untyped"): "Pygments ships no types",
    ("omni/core/hooks.py", "empty-body"): "a specification has no body: those of plug-ins run",
    ("omni/keeper/process.py", "BLE001"): "the keeper outlives any error, which it logs",
    ("tests/core/test_process_kinds.py", "arg-type"): "what is given varies with the test",
    ("tests/helpers/test_helpers.py", "arg-type"): "what is given varies with the test",
    ("tests/core/test_hooks.py", "assignment"): "what a plug-in has wrong is what is tried",
    ("tests/core/test_hooks.py", "override"): "what a plug-in has wrong is what is tried",
    ("tests/core/test_hooks.py", "misc"): "what a plug-in has wrong is what is tried",
}


def exemptions() -> list[tuple[str, int, list[str], str]]:
    """Path, line, what is not looked at ("" for everything), and what the line says after it."""
    listed = []
    for path in sorted(path for root in ROOTS for path in (REPOSITORY / root).rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
            if token.type != tokenize.COMMENT:
                continue
            for match in filter(None, (_NOQA.search(token.string), _IGNORE.search(token.string))):
                codes = re.findall(r"[A-Za-z][\w-]*", match["codes"] or "") or [""]
                listed.append((str(path.relative_to(REPOSITORY)), token.start[0], codes, match["rest"]))
    return listed


def reasons_of(path: str, codes: list[str]) -> set[tuple[str, str]]:
    return {(begins, code) for begins, code in REASONS if path.startswith(begins) and code in codes}


def test_every_exemption_names_what_it_lets_pass_and_why() -> None:
    unexplained = [
        f"{path}:{line}"
        for path, line, codes, rest in exemptions()
        if "" in codes or (not re.search(r"\w", rest) and {code for _, code in reasons_of(path, codes)} != set(codes))
    ]
    assert unexplained == []


def test_no_reason_is_left_over() -> None:
    used = {
        key for path, _, codes, rest in exemptions() if not re.search(r"\w", rest) for key in reasons_of(path, codes)
    }
    assert REASONS.keys() - used == set()
