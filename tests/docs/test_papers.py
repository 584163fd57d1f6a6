"""Every link of the papers leads somewhere, and nothing in the repository names what belongs to one machine."""

import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Hosts that may be named: licences and standards, the hub that `hf.co/…` means, and two that are names of folders in
# which other programs keep models. No package index is among them: which one is asked, the person's pip says.
HOSTS = {
    "huggingface.co",
    "hf.co",
    "json-schema.org",
    "www.apache.org",
    "keepachangelog.com",
    "semver.org",
    "www.w3.org",
}
FOLDERS = {"registry.ollama.ai", "nomic.ai"}
# Whom clients call when nobody stops them: docs/clients.md says so.
CALLED = {"api.openai.com", "raw.githubusercontent.com", "eu.i.posthog.com", "api.smith.langchain.com"}
NOBODY = re.compile(
    r"(^|\.)(example|test|invalid|localhost|local)$|(^|\.)example\.(com|org|net)$|^127\.|^\[?::1|^0\.0\.0\.0$"
)
HOST = re.compile(r"https?://((?:[\w-]+\.)+[A-Za-z]{2,}|[\d.]{7,}|\[[0-9a-fA-F:]+\])")
BARE = re.compile(r"(?<![\w.@/-])((?:[a-z0-9-]+\.)+(?:org|com|io|ai|co|cn|cloud))(?![\w(.-])")
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@cache
def tracked() -> list[Path]:
    """The files of the repository, or what would be committed of a copy without history."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        names = [name for name in done.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git repository")
    return [path for name in names if (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""


def papers() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", papers(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    lost = []
    for match in LINK.finditer(text):
        address = match[1] or match[2]
        if urlsplit(address).scheme:
            continue
        name, _, anchor = address.partition("#")
        target = page.parent / unquote(name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(address)
    assert lost == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_of_the_papers_is_in_their_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    assert [
        page.name for page in ROOT.glob("docs/*.md") if page.name != "README.md" and f"({page.name})" not in index
    ] == []


# Textual's own export names the fonts of its pictures; libraries of the page, and their lock, name their homes.
GENERATED = ("__snapshots__", "static", "package-lock.json")


def test_no_file_names_a_host_that_is_not_on_the_list() -> None:
    unlisted = {
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        if not set(GENERATED) & set(path.parts)
        for host in [*HOST.findall(text_of(path)), *BARE.findall(text_of(path))]
        if host.lower() not in HOSTS | FOLDERS | CALLED and not NOBODY.search(host.lower())
    }
    assert sorted(unlisted) == []


def test_no_file_names_a_registry() -> None:
    """Not even what is built or locked by others' programs."""
    registries = re.compile("|".join(("npmjs", "npmmirror", "pythonhosted", r"pypi")) + r"\.(org|com)")
    assert [path for path in tracked() if path.name != "test_papers.py" and registries.search(text_of(path))] == []


def test_lock_files_name_no_index() -> None:
    for path in ROOT.glob("requirements/**/*.txt"):
        assert not re.search(
            r"^\s*(-i|--(extra-)?index-url|--find-links|-f|--trusted-host)\b|://", path.read_text(), re.MULTILINE
        )


def test_the_readme_counts_the_packages() -> None:
    pinned = re.findall(r"^[\w.-]+==", (ROOT / "requirements" / "core.txt").read_text("utf-8"), re.MULTILINE)
    assert f"MB, {len(pinned)} packages" in (ROOT / "README.md").read_text("utf-8")


def test_no_file_names_a_place_of_one_machine() -> None:
    """Homes of people who do not exist (ada) and what every machine has (Homebrew's place) are no such place."""
    place = re.compile(
        r"(?<![\w.~$}/-])/(?:home|Users)/(?!ada\b|you\b|linuxbrew\b)[a-z]\w*|(?<![\w.~$}-])/(?:root|work|workspace)/\w+"
    )
    places = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        for match in place.finditer(text_of(path))
        if path != Path(__file__)
    }
    assert sorted(places) == []
