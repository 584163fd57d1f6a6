"""The engines of a home: they appear whole, are what was added, and go."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.paths import Home
from omni.runtimes import (
    BUILT_IN,
    BrokenRuntime,
    Refusal,
    Runtime,
    Runtimes,
    RuntimeTrial,
    Speeds,
    Tuning,
    child_environment,
    offered,
    rows,
)
from tests.runtime_tools import ROOT, added, fake_server, wheel


async def test_a_program_is_added_with_its_version_and_its_hash(home: Home, tmp_path: Path) -> None:
    runtime = await added(home, fake_server(tmp_path / "llama-server"))
    assert (runtime.name, runtime.kind, runtime.version) == ("llama-server", "llama_server", "4242 0badcafe")
    assert len(runtime.sha256) == 64
    registry = Runtimes(home)
    assert [each.name for each in registry.installed()] == ["llama-server"]
    assert [each.name for each in registry.usable()] == [BUILT_IN, "llama-server"]
    registry.check(runtime)


async def test_a_program_that_was_changed_is_refused_in_words(home: Home, tmp_path: Path) -> None:
    program = fake_server(tmp_path / "llama-server")
    runtime = await added(home, program)
    program.write_text(program.read_text() + "# another one\n")
    with pytest.raises(BadFile, match=r"'llama-server' is not started: .*it is not the file that was added") as refused:
        Runtimes(home).check(runtime)
    assert "omni engine rm llama-server" in refused.value.hint
    program.unlink()
    with pytest.raises(BadFile, match="No such file"):
        Runtimes(home).check(runtime)


async def test_a_program_that_was_only_touched_is_read_again_and_is_the_same(home: Home, tmp_path: Path) -> None:
    program = fake_server(tmp_path / "llama-server")
    runtime = await added(home, program)
    os.utime(program, (1, 1))
    Runtimes(home).check(runtime)
    text = program.read_text()
    program.write_text(text.replace("signal", "sIgnal"))  # as long as before, at another time
    with pytest.raises(BadFile):
        Runtimes(home).check(runtime)


@pytest.mark.parametrize(
    "later", ["libmine.so", "libggml-new.so.1", "libx.dylib", "glibc-hwcaps/x86-64-v3/libc.so.6", "haswell/libm.so"]
)
async def test_a_library_that_comes_beside_a_program_later_is_refused(home: Home, tmp_path: Path, later: str) -> None:
    program = fake_server(tmp_path / "llama-server")
    (tmp_path / "libggml.so").write_bytes(b"\x7fELF")
    runtime = await added(home, program)
    registry = Runtimes(home)
    (tmp_path / "notes.txt").write_text("which no program loads")
    registry.check(runtime)
    path = tmp_path / later
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF")
    with pytest.raises(BadFile, match=f"{later} came after it was added"):
        registry.check(runtime)
    path.unlink()
    registry.check(runtime)


async def test_where_no_library_was_beside_a_program_none_may_come(home: Home, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "llama-server").symlink_to(fake_server(tmp_path / "real" / "llama-server"))
    runtime = await added(home, tmp_path / "llama-server")
    (tmp_path / "real" / "libggml-cpu.so").symlink_to("/nowhere")
    with pytest.raises(BadFile, match=r"libggml-cpu\.so came after"):
        Runtimes(home).check(runtime)


@pytest.mark.parametrize("later", ["json.py", "own/deep/new.so", "own/link"])
async def test_in_a_folder_that_omni_filled_no_other_file_may_come(home: Home, tmp_path: Path, later: str) -> None:
    path = wheel(
        tmp_path, "own-1.0-py3-none-any.whl", {"own/bin/llama-server": b"\x7fELF", "own/deep/a.so": b"\x7fELF"}
    )
    runtime = await added(home, path)
    registry = Runtimes(home)
    (runtime.packages / "own" / "__pycache__").mkdir()
    (runtime.packages / "own" / "__pycache__" / "a.pyc").write_bytes(b"")  # whoever imports an engine reads none
    registry.check(runtime)
    (runtime.packages / later).symlink_to(tmp_path)
    with pytest.raises(BadFile, match=f"{later} came after it was added"):
        registry.check(runtime)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"name": "other", "kind": "xllamacpp"}', "calls itself 'other'"),
        ('{"name": "broken", "kind": "xllamacpp", "format": 2}', "was written by a newer Omni"),
        ('{"of": "another", "kind": ["kinds", "of then"], "format": 2}', "was written by a newer Omni"),
        ('{"name": "broken", "kind": "magic"}', "cannot be read"),
        ('{"name": "broken", "kind": "llama_server"}', "names no binary"),
        ('{"name": "broken", "kind": "llama_server", "binary": "../../bin/sh"}', "outside of its folder"),
        (None, "holds no engine.json"),
    ],
)
def test_a_broken_folder_is_a_reason_and_no_crash(home: Home, text: str | None, reason: str) -> None:
    folder = home.engines / "broken"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "engine.json").write_text(text)
        (folder / "engine.json").chmod(0o600)
    [row] = Runtimes(home).installed()
    assert isinstance(row, BrokenRuntime)
    assert reason in row.reason
    assert [each.name for each in Runtimes(home).usable()] == [BUILT_IN]


async def test_a_file_that_others_may_write_to_is_not_believed(home: Home, tmp_path: Path) -> None:
    await added(home, fake_server(tmp_path / "llama-server"))
    (home.engines / "llama-server" / "engine.json").chmod(0o666)
    [row] = Runtimes(home).installed()
    assert isinstance(row, BrokenRuntime)
    assert "others may write to it" in row.reason


async def test_a_name_that_is_taken_or_means_something_else_is_refused(home: Home, tmp_path: Path) -> None:
    program = fake_server(tmp_path / "llama-server")
    await added(home, program)
    with pytest.raises(UsageError, match="is here"):
        await added(home, program)
    for name in ("auto", BUILT_IN, "scripted", "helper", "../x", "Ü", "a" * 65):
        with pytest.raises(UsageError, match="cannot be the name"):
            await offered(home, str(program), pytest.fail, name=name)


async def test_removing_frees_it_and_leaves_a_program_that_lies_elsewhere(home: Home, tmp_path: Path) -> None:
    program = fake_server(tmp_path / "llama-server")
    await added(home, program)
    assert Runtimes(home).remove("llama-server") > 0
    assert Runtimes(home).installed() == []
    assert program.exists()
    with pytest.raises(NotFound, match="No engine is named 'llama-server'"):
        Runtimes(home).remove("llama-server")
    with pytest.raises(UsageError, match="cannot be removed"):
        Runtimes(home).remove(BUILT_IN)


def test_what_a_killed_one_left_is_swept_and_nothing_of_it_is_seen(home: Home) -> None:
    code = (
        f"import sys, os, signal; sys.path.insert(0, {str(ROOT)!r})\n"
        "from omni.core.paths import Home\nfrom omni.runtimes import Runtimes\n"
        f"with Runtimes(Home({str(home.root)!r})).adding('half') as folder:\n"
        "    (folder / 'large').write_bytes(b'x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGKILL
    assert Runtimes(home).installed() == []
    with Runtimes(home).adding("half") as folder:
        assert list(folder.iterdir()) == []
    assert sorted(path.name for path in home.engines.iterdir()) == ["half"]


def test_what_fails_leaves_nothing(home: Home) -> None:
    def fill() -> None:
        with Runtimes(home).adding("half") as folder:
            (folder / "large").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert list(home.engines.iterdir()) == []


def test_trials_are_remembered_of_the_very_build_and_an_unreadable_file_is_as_good_as_none(home: Home) -> None:
    registry = Runtimes(home)
    runtime = registry.get(BUILT_IN)
    trial = RuntimeTrial(
        runtime=runtime.key, machine="here", types=("F32", "Q4_1"), speeds=Speeds(prompt=100.0, answer=20.0)
    )
    registry.note(runtime, trial)
    again = RuntimeTrial(runtime=runtime.key, machine="here", types=("F32", "Q4_1"), words="ends by SIGSEGV")
    registry.note(runtime, again)
    assert registry.tried(runtime) == (again,)
    assert registry.tried(Runtime(name=BUILT_IN, kind="xllamacpp", version="another")) == ()
    assert registry.installed() == []  # what is known of the one that comes with Omni is no engine
    tried = home.engines / BUILT_IN / "tried.json"
    assert json.loads(tried.read_bytes())["format"] == 1
    tried.write_text("[")
    assert registry.tried(runtime) == ()


def test_what_a_newer_omni_found_out_is_left_as_it_is_and_that_is_said(home: Home) -> None:
    registry = Runtimes(home)
    runtime = registry.get(BUILT_IN)
    tried = home.engines / BUILT_IN / "tried.json"
    tried.parent.mkdir(parents=True)
    tried.write_text(later := '{"format": 2, "trials": {"by": "something else"}}')
    tried.chmod(0o600)
    trial = RuntimeTrial(runtime=runtime.key, machine="here", types=("F32",), words="ends by SIGSEGV")
    assert registry.tried(runtime) == ()
    ways: tuple[Callable[[], None], ...] = (
        lambda: registry.note(runtime, trial),
        lambda: registry.note_tuning(runtime, Tuning(runtime=runtime.key, machine="here", base="sha256-1")),
        lambda: registry.note_refusal(
            runtime, Refusal(runtime=runtime.key, machine="here", base="sha256-1", files="1", words="no")
        ),
    )
    for remember in ways:
        with pytest.raises(BadFile, match=r"tried\.json was written by a newer Omni") as caught:
            remember()
        assert "Update this Omni" in caught.value.hint
    assert tried.read_text() == later
    [row] = rows(registry, "auto", "here")
    assert row.unread.startswith(f"{tried} was written by a newer Omni.")


def test_a_base_that_a_build_refused_is_refused_until_its_files_change(home: Home) -> None:
    registry = Runtimes(home)
    runtime = registry.get(BUILT_IN)
    first = Refusal(runtime=runtime.key, machine="here", base="sha256-1", files="1", words="could not load it")
    registry.note_refusal(runtime, first)
    assert registry.refused(runtime, "sha256-1", "here", "1") == "could not load it"
    for base, machine, files in (("sha256-2", "here", "1"), ("sha256-1", "there", "1"), ("sha256-1", "here", "2")):
        assert registry.refused(runtime, base, machine, files) == ""
    other_build = Runtime(name=BUILT_IN, kind="xllamacpp", version="another")
    assert registry.refused(other_build, "sha256-1", "here", "1") == ""
    registry.note_refusal(runtime, msgspec.structs.replace(first, files="2", words="still not"))
    assert registry.refused(runtime, "sha256-1", "here", "1") == ""
    assert registry.refused(runtime, "sha256-1", "here", "2") == "still not"


def test_a_program_gets_a_persons_environment_without_settings_of_servers_and_secrets() -> None:
    own = {"PATH": "/bin", "LLAMA_ARG_PORT": "1", "HF_TOKEN": "secret", "OMNI_HOME": "/home", "LD_LIBRARY_PATH": "/lib"}
    assert child_environment([], own) == {"PATH": "/bin", "LD_LIBRARY_PATH": "/lib"}
    assert child_environment([Path("/a"), Path("/b")], own)["LD_LIBRARY_PATH"] == "/a:/b:/lib"
