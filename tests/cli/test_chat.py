"""`omni chat` with scripted workers: real processes all the way, and a brain that says what it is told."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from omni.core.paths import Home
from tests.cli.tools import Cli, until

pytestmark = pytest.mark.real  # every test here starts processes


def script(**settings: object) -> dict[str, Any]:
    return {"OMNI_TEST_SCRIPT": json.dumps(settings)}


def states(cli: Cli) -> list[tuple[str, str]]:
    """(state, text) of all answers, oldest first, read by the command that the next question uses."""
    import asyncio

    from omni.chat import ChatService, ChatStore

    async def read() -> list[tuple[str, str]]:
        nobody: Any = None  # is asked
        service = ChatService(ChatStore(cli.home.chat), nobody, nobody)
        try:
            conversations = reversed(await service.conversations())
            messages = [message for one in conversations for message in await service.messages(one.id)]
            return [(message.state, message.text) for message in messages if message.role == "assistant"]
        finally:
            await service.close()

    return asyncio.run(read())


def test_the_answer_is_all_that_stdout_gets(scripted: Cli) -> None:
    answered = scripted.run("chat", "how", "are", "you?")
    assert answered == (0, "You said: how are you?\n", "")


def test_what_is_piped_in_is_added_and_attaches_nothing(scripted: Cli) -> None:
    (scripted.folder / "notes.txt").write_text("secret")
    answered = scripted.run("chat", "explain", stdin=b"  see @notes.txt and /etc\n")
    assert answered == (0, "You said: explain\n\nsee @notes.txt and /etc\n", "")
    assert scripted.run("chat", stdin=b"only this").out == "You said: only this\n"
    assert scripted.run(stdin=b"and this").out == "You said: and this\n"
    attached = scripted.run("chat", "see @notes.txt")
    assert attached.code == 0
    assert "secret" in attached.out


def test_other_words_for_chat(scripted: Cli) -> None:
    assert scripted.run("a question").out == "You said: a question\n"
    assert scripted.run("@me/tiny", "a", "question").out == "You said: a question\n"
    assert scripted.run("run", "tiny", "a question").out == "You said: a question\n"
    assert scripted.run("@me/tiny", stdin=b"piped").out == "You said: piped\n"
    assert scripted.run("chat", "-b", str(scripted.folder / "tiny.gguf"), "by file").out == "You said: by file\n"


def test_json_prints_the_events(scripted: Cli) -> None:
    answered = scripted.run("chat", "--json", "hi")
    assert (answered.code, answered.err) == (0, "")
    kinds = [event["type"] for event in answered.events]
    assert kinds[0] == "turn_started"
    assert kinds[-1] == "turn_ended"
    assert "".join(event["text"] for event in answered.events if event["type"] == "text_delta") == "You said: hi"
    assert answered.events[-1]["usage"]["completion_tokens"] == 3


def test_json_prints_errors_too(scripted: Cli) -> None:
    fallen = scripted.run("chat", "--json", "hi", **script(reply="one two three four five six", die_after=2))
    assert fallen.code == 5
    assert [event["type"] for event in fallen.events].count("error") == 1
    error = fallen.events[-1]
    assert (error["type"], error["kind"], error["exit_code"]) == ("error", "EngineError", 5)
    assert f"omni: {error['message']}\n" in fallen.err
    for words, code in ((("hi", "-b", "nothing/here"), 3), (("word " * 5000,), 6), ((), 2)):
        refused = scripted.run("chat", "--json", *words)
        assert (refused.code, refused.events[-1]["exit_code"]) == (code, code)
        assert refused.err.startswith(f"omni: {refused.events[-1]['message']}")


def test_continue_goes_on_with_this_folders_conversation(scripted: Cli) -> None:
    none = scripted.run("chat", "--continue", "more")
    assert none.code == 3
    first = scripted.run("chat", "--json", "one")
    again = scripted.run("chat", "--json", "-c", "two", "--system", "Be brief.")
    assert again.events[0]["conversation"] == first.events[0]["conversation"]
    assert again.events[-1]["usage"]["prompt_tokens"] > first.events[-1]["usage"]["prompt_tokens"] + 4
    elsewhere = scripted.folder / "elsewhere"
    elsewhere.mkdir()
    assert scripted.run("chat", "-c", "x", prefix=("sh", "-c", f'cd {elsewhere} && exec "$@"', "sh")).code == 3


def test_thoughts_are_printed_when_they_are_wanted(scripted: Cli) -> None:
    words = script(reasoning="let me think", reply="\n\nfour")
    assert scripted.run("chat", "2+2?", **words).out == "four\n"
    assert scripted.run("chat", "2+2?", "--reasoning", **words).out == "let me think\n\nfour\n"


def test_a_brain_that_never_stops_is_stopped(scripted: Cli) -> None:
    scripted.run("config", "set", "chat.max_completion_tokens", "20")
    cut = scripted.run("chat", "go", **script(reply=" again", endless=1))
    assert cut.code == 0
    assert len(cut.out.split()) == 20
    assert cut.out.endswith("\n")
    assert cut.err == "omni: cut at the longest answer allowed (`omni config set chat.max_completion_tokens N`)\n"


def test_a_question_that_does_not_fit_is_told_with_figures(scripted: Cli) -> None:
    refused = scripted.run("chat", "word " * 5000)
    assert (refused.code, refused.out) == (6, "")
    assert "tokens" in refused.err
    assert "2,048 are allocated" in refused.err
    assert len(refused.err.splitlines()) == 2
    assert scripted.run("chat", "short").code == 0


def test_a_question_that_no_brain_can_take_leaves_no_conversation(scripted: Cli) -> None:
    assert scripted.run("chat", "hi", "-b", "nothing/here").code == 3
    assert scripted.run("chat", "hi", "-b", "@omni/coder").code == 3
    assert states(scripted) == []


def test_ctrl_c_stores_what_came_as_cancelled(scripted: Cli) -> None:
    running = scripted.start("chat", "go", env=scripted.environment | script(reply="on ", endless=1, token_ms=5))
    assert running.stdout is not None
    assert os.read(running.stdout.fileno(), 100)
    running.send_signal(signal.SIGINT)
    stopped = scripted.finish(running)
    assert stopped.code == 130
    assert stopped.out.endswith("\n")
    assert stopped.err == "omni: stopped; what came is kept: `omni chat -c` goes on from it\n"
    ((state, text),) = states(scripted)
    assert state == "cancelled"
    assert text.startswith("on")
    assert scripted.run("chat", "-c", "more").code == 0


def test_who_reads_one_line_ends_the_answer(scripted: Cli) -> None:
    words = scripted.environment | script(reply="a line\n", endless=1, token_ms=1)
    command = [*scripted.command, "chat", "go"]
    process = subprocess.run(
        ["bash", "-c", '"$@" | head -1; echo ${PIPESTATUS[0]}', "bash", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=words,
        cwd=scripted.folder,
        timeout=60,
    )
    assert process.stdout == b"a line\n130\n"
    assert process.stderr == b""
    assert states(scripted)[0][0] == "cancelled"


def test_two_workers_that_die_are_told_and_the_next_question_works(scripted: Cli) -> None:
    """The answer goes on where the first of them ended."""
    words = script(reply="one two three four five six", die_after=2)
    failed = scripted.run("chat", "go", **words)
    assert failed.code == 5
    assert failed.out == "one two three four\n"
    assert failed.err.startswith("omni: The brain's process ended in the middle of its answer.\n      ")
    assert states(scripted)[0][0] == "failed"
    assert scripted.run("chat", "again").out == "You said: again\n"


def test_a_brain_that_cannot_be_loaded_says_why(scripted: Cli) -> None:
    failed = scripted.run("chat", "go", **script(load_error="This file is upside down."))
    assert failed.code == 5
    assert failed.out == ""
    assert "upside down" in failed.err


def test_two_at_once_share_one_worker(scripted: Cli) -> None:
    slow = scripted.environment | script(reply="a b c d e f g h", token_ms=20)
    both = [scripted.start("chat", "go", env=slow) for _ in range(2)]
    assert [scripted.finish(one) for one in both] == [(0, "a b c d e f g h\n", "")] * 2
    assert scripted.run("chat", "third", **script(reply="a b c d e f g h", token_ms=20)).code == 0
    (worker,) = scripted.processes("worker")
    assert worker["brains"][0] == "@me/tiny"
    assert worker["memory"] > 1_000_000
    assert worker["confined"] == "seccomp"


def test_an_answer_is_seen_and_stopped_from_another_terminal(scripted: Cli) -> None:
    slow = scripted.environment | script(reply="a " * 2000, token_ms=20)
    asked = scripted.start("chat", "go on and on", env=slow)
    assert asked.stdout is not None
    assert asked.stdout.read(2) == b"a "
    (client,) = [one for one in scripted.processes("client") if one["jobs"]]
    (work,) = client["jobs"]
    assert (work["kind"], work["state"], work["facts"]["brain"]) == ("turn", "running", "@me/tiny")
    listed = scripted.run("ps").out.split("\n\n")[1]
    assert listed.splitlines()[1].split(maxsplit=2)[0] == work["id"]
    assert 'an answer in "go on and on"' in listed
    stopped = scripted.run("stop", work["id"])
    assert stopped == (0, f"{work['id']} is stopped; what came of it is kept.\n", "")
    ended = scripted.finish(asked)
    assert (ended.code, ended.err.splitlines()[0]) == (1, "omni: Another window stopped this answer.")
    again = scripted.run("stop", work["id"])
    assert (again.code, again.err.splitlines()[0]) == (3, f"omni: No work {work['id']} is going on.")


def test_ps_names_everything_and_what_confines_it(scripted: Cli) -> None:
    scripted.run("chat", "hi")
    lines = scripted.run("ps").out.splitlines()
    assert lines[0].split() == ["process", "pid", "memory", "network", "since", "what"]
    rows = {line.split()[0].partition("-")[0]: line for line in lines[1:]}
    assert list(rows) == ["cli", "keeper", "starter", "worker"]
    assert "none, by seccomp" in rows["cli"]
    assert rows["cli"].endswith("this command")
    assert "unused, not confined" in rows["keeper"]
    assert "unused, not confined" in rows["starter"]
    assert "none, by seccomp" in rows["worker"]
    assert rows["worker"].endswith("@me/tiny and 3 on it, 0 of 4 places, by scripted")
    assert "sha256" not in "".join(lines)


def test_stop_unloads_by_name_and_all(scripted: Cli) -> None:
    scripted.run("chat", "hi")
    assert scripted.run("stop", "tiny") == (0, "tiny is unloaded.\n", "")
    not_loaded = scripted.run("stop", "tiny")
    assert (not_loaded.code, not_loaded.err) == (3, "omni: tiny is not loaded.\n      `omni ps` lists what is.\n")
    scripted.run("chat", "hi")
    assert scripted.run("stop") == (0, "@me/tiny is unloaded.\n", "")
    scripted.run("chat", "hi")
    assert scripted.run("stop", "worker-1").code == 0
    assert scripted.run("stop", "--all").out == "Keeper, airlock and workers have ended.\n"
    assert scripted.run("ps").out == "No process of Omni is running.\n"


def test_stop_all_ends_a_worker_whose_keeper_was_killed(scripted: Cli) -> None:
    scripted.run("chat", "hi")
    (worker,), (keeper,) = scripted.processes("worker"), scripted.processes("keeper")
    os.kill(keeper["pid"], signal.SIGKILL)
    assert scripted.run("stop", "--all").out == "Keeper, airlock and workers have ended.\n"
    until(lambda: not Path(f"/proc/{worker['pid']}/exe").exists())


def test_a_killed_keeper_costs_no_answer(scripted: Cli) -> None:
    words = scripted.environment | script(reply="a b c d e f g h i j", token_ms=50)
    running = scripted.start("chat", "go", env=words)
    assert running.stdout is not None
    assert os.read(running.stdout.fileno(), 1) == b"a"
    os.kill(json.loads(scripted.home.keeper_file.read_text())["pid"], signal.SIGKILL)
    assert scripted.finish(running) == (0, " b c d e f g h i j\n", "")
    assert scripted.run("chat", "next").out == "You said: next\n"


def test_uninstall_refuses_while_a_window_is_open(scripted: Cli) -> None:
    running = scripted.start("chat", "go", env=scripted.environment | script(reply="on ", endless=1, token_ms=5))
    assert running.stdout is not None
    assert os.read(running.stdout.fileno(), 1)
    refused = scripted.run("uninstall", "--yes")
    assert refused.code == 4
    assert refused.err == f"omni: Omni is still open: cli-{running.pid}.\n      Close it there first.\n"
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    assert scripted.finish(running).code == 130
    assert scripted.run("uninstall", "--yes").code == 0
    assert not scripted.home.root.exists()


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_an_answer_with_other_signs_is_no_crash_anywhere(scripted: Cli, locale: str) -> None:
    words = script(reply="Grüße 😊 café")
    plain = scripted.run("chat", "ü", LC_ALL=locale, **words)
    assert plain.code == 0
    ascii_only = scripted.run("chat", "hi", LC_ALL=locale, PYTHONIOENCODING="ascii", **words)
    assert (ascii_only.code, ascii_only.out) == (0, "Gr??e ? caf?\n")


def test_questions_may_hold_any_bytes(scripted: Cli) -> None:
    process = subprocess.run(
        [*scripted.command, "chat", b"caf\xe9"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=scripted.environment,
        cwd=scripted.folder,
        timeout=60,
    )
    assert (process.returncode, process.stdout.decode()) == (0, "You said: caf\ufffd\n")


def test_closed_standard_input_asks_nothing_more(scripted: Cli) -> None:
    assert scripted.run("chat", "hi", prefix=("sh", "-c", 'exec "$@" <&-', "sh")).out == "You said: hi\n"
    assert scripted.run("chat", prefix=("sh", "-c", 'exec "$@" <&-', "sh")).code == 2


def test_nothing_is_pending_and_nothing_warns(scripted: Cli) -> None:
    strict = [scripted.command[0], "-X", "dev", "-W", "error", *scripted.command[1:]]
    for words, code in ((["chat", "hi"], 0), (["ps"], 0), (["chat", "x", "-b", "no/where"], 3), (["ls"], 0)):
        process = subprocess.run(
            [*strict, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=scripted.environment | {"PYTHONASYNCIODEBUG": "1"},
            cwd=scripted.folder,
            timeout=120,
        )
        assert process.returncode == code
        # How long a step took depends on who else wants the machine, and is no warning of ours.
        said = [line for line in process.stderr.decode().splitlines() if not line.startswith("Executing <")]
        assert len(said) == (0 if code == 0 else 2), said


def test_a_read_only_home_is_one_sentence(cli: Cli, home: Home) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write everywhere; see the test with a read-only disk")
    home.root.chmod(0o500)
    try:
        refused = cli.run("chat", "hi")
    finally:
        home.root.chmod(0o700)
    assert refused.code == 4
    assert refused.err.startswith(f"omni: The home folder {home.root} is read-only.\n")


@pytest.mark.parametrize(
    ("setting", "words", "asked"),
    [
        ("auto", ("--gpu",), True),
        ("off", ("--gpu", "on"), True),
        ("on", (), True),
        ("on", ("--gpu", "off"), False),
        ("auto", (), False),
    ],
)
def test_a_graphics_processor_is_asked_for_once_or_by_the_setting(
    home: Home, scripted: Cli, setting: str, words: tuple[str, ...], asked: bool
) -> None:
    assert scripted.run("config", "set", "engine.gpu", setting).code == 0
    answer = scripted.run("chat", *words, "Hi")
    assert answer.code == 0, answer.err
    assert ("no engine is here that could use a graphics processor" in answer.err) == asked
    assert f'gpu = "{setting}"' in home.config.read_text()
