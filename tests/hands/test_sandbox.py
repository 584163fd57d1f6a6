"""The sandbox with the real kernel: what a command is given, what it is refused, and that nothing of it is left."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.core import landlock
from omni.core.errors import EngineError, UsageError
from omni.core.paths import Home
from omni.hands import OutputChunk, SandboxLayers, SandboxPolicy, ToolEnded, ToolSandbox, policy_for, try_walls
from omni.hands.attempts import collected
from omni.hands.policy import give_identity, shell_command
from omni.keeper import KeeperClient
from tests.keeper_tools import kept
from tests.ordinary import ordinary_user
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux" or landlock.missing() != "", reason="needs Linux with Landlock")


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[KeeperClient]:
    async with kept(home) as client:
        yield client


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "person" / "project"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("hello\n")
    (folder / ".env").write_text("KEY=1\n")
    (folder / ".env.example").write_text("KEY=\n")
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    give_identity(folder, "Ann", "ann@example.org")
    return folder


@pytest.fixture
def policy(home: Home, project: Path, scratch: Path) -> SandboxPolicy:
    (project.parent / "diary.txt").write_text("mine alone")
    return policy_for(project, scratch, home=project.parent, omni=home.root, outside=dict(os.environ), seconds=60)


Done = tuple[str, ToolEnded, SandboxLayers]


async def ran(keeper: KeeperClient, policy: SandboxPolicy, command: str, *, stdin: bytes = b"") -> Done:
    """What a command line wrote, how it ended, and the walls around it."""
    written, ended, layers = b"", None, None
    async with aclosing(ToolSandbox(keeper).run(shell_command(command), policy, stdin=stdin)) as events:
        async for event in events:
            match event:
                case OutputChunk(data=data):
                    written += data
                case ToolEnded():
                    ended = event
                case SandboxLayers():
                    layers = event
    assert ended is not None
    assert layers is not None
    return written.decode(), ended, layers


async def test_a_command_sees_its_project_and_an_empty_home(keeper: KeeperClient, policy: SandboxPolicy) -> None:
    words, ended, layers = await ran(keeper, policy, "pwd; cat a.txt; echo $HOME; ls -A ~; git config user.name")
    assert words.split() == [policy.cwd, "hello", policy.scratch, ".gitconfig", "Ann"]
    assert (ended.code, ended.limit) == (0, "")
    assert layers.landlock >= 1


async def test_nothing_of_the_person_is_seen(keeper: KeeperClient, policy: SandboxPolicy, home: Home) -> None:
    outside = Path(policy.cwd).parent
    words, _, _ = await ran(
        keeper, policy, f"cat {outside}/diary.txt; ls {outside}; ls {home.root}; cat .env /etc/shadow; cat .env.example"
    )
    assert "mine alone" not in words
    assert "config.toml" not in words
    assert "KEY=1" not in words
    assert "root:" not in words
    assert "KEY=" in words  # an example holds no secret


async def test_nothing_outside_the_project_is_changed_not_even_by_a_link(
    keeper: KeeperClient, policy: SandboxPolicy
) -> None:
    project = Path(policy.cwd)
    (project / "out").symlink_to(project.parent)
    words, ended, _ = await ran(
        keeper,
        policy,
        "echo x > out/new; echo x > ../new; echo x > /etc/new; echo x > /usr/new; ln a.txt ../hard; mv a.txt ../; echo x > here",
    )
    assert not any((project.parent / name).exists() for name in ("new", "hard", "a.txt"))
    assert (project / "here").read_text() == "x\n"
    assert ended.code == 0
    assert (
        words.count("ermission denied") + words.count("Read-only") >= 2
    )  # the others went to an empty /tmp, and with it


async def test_hooks_and_settings_of_git_stay_as_they_are_and_commits_work(
    keeper: KeeperClient, policy: SandboxPolicy, home: Home
) -> None:
    project = Path(policy.cwd)
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", str(project)], check=True)
    (project / ".git" / "hooks").mkdir(exist_ok=True)
    again = policy_for(project, Path(policy.scratch), home=project.parent, omni=home.root, outside=dict(os.environ))
    words, _, _ = await ran(
        keeper,
        again,
        "git add a.txt && git commit -qm one && git log --format=%an; echo x > .git/hooks/pre-commit; git config a.b c",
    )
    assert words.splitlines()[0] == "Ann"
    assert not (project / ".git" / "hooks" / "pre-commit").exists()
    assert "[a]" not in (project / ".git" / "config").read_text()


async def test_no_way_round_leaves_hooks_that_git_would_run_for_the_person(
    keeper: KeeperClient, policy: SandboxPolicy, home: Home
) -> None:
    project = Path(policy.cwd)
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", str(project)], check=True)
    (project / ".husky").mkdir()
    config = project / ".git" / "config"
    config.write_text(f"{config.read_text()}[core]\n\thooksPath = .husky\n")
    again = policy_for(project, Path(policy.scratch), home=project.parent, omni=home.root, outside=dict(os.environ))
    await ran(
        keeper,
        again,
        "mv .git g2; rm -rf .git/hooks; mkdir -p evil/hooks; echo ../evil > .git/commondir; echo x > .husky/pre-commit; "
        "echo x > .git/hooks/pre-commit; rm -rf .git/config",
    )
    assert (project / ".git" / "config").is_file()
    assert not (project / "g2").exists()
    assert not (project / ".git" / "commondir").exists()
    assert not list((project / ".husky").iterdir())
    assert not (project / ".git" / "hooks" / "pre-commit").exists()


HOOK = "printf '#!/bin/sh\\n' > {git}/hooks/pre-commit"


def repository(folder: Path, *, template: bool = True) -> Path:
    """A repository with one commit; without `template` it has no folder for hooks."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=b"]
    subprocess.run(["git", "init", "-q", *([] if template else ["--template="]), str(folder)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    return folder / ".git"


def policy_again(policy: SandboxPolicy, home: Home, folder: Path, **more: Any) -> SandboxPolicy:
    """The policy of a folder once it is as it shall be."""
    person = Path(policy.cwd).parent
    return policy_for(folder, Path(policy.scratch), home=person, omni=home.root, outside=dict(os.environ), **more)


@pytest.mark.parametrize(
    "command",
    [
        f"mv .git .g && cp -r .g .git; rm -rf .git/hooks; mkdir .git/hooks; {HOOK.format(git='.git')}",
        f"rm -rf .git/hooks; mkdir -p .git/hooks; {HOOK.format(git='.git')}",
    ],
)
@pytest.mark.parametrize("template", [True, False], ids=["with hooks", "without"])
async def test_no_other_repository_is_put_in_the_place_of_the_projects(
    keeper: KeeperClient, policy: SandboxPolicy, home: Home, command: str, template: bool
) -> None:
    project = Path(policy.cwd)
    git = await asyncio.to_thread(repository, project, template=template)
    _, ended, layers = await ran(keeper, policy_again(policy, home, project), command)
    if "mount" in layers.missing:
        pytest.skip(layers.missing["mount"])
    assert ended.code != 0
    assert not (git / "hooks" / "pre-commit").exists()
    words, ended, _ = await ran(
        keeper, policy_again(policy, home, project), "git add a.txt; git commit -qm two; git gc -q; git log --format=%s"
    )
    assert (words.split(), ended.code) == (["two", "one"], 0)


async def test_hooks_that_lie_in_the_project_stay_where_they_are(
    keeper: KeeperClient, policy: SandboxPolicy, home: Home
) -> None:
    project = Path(policy.cwd)
    (hooks := project / ".husky" / "_").mkdir(parents=True)
    await asyncio.to_thread(repository, project)
    await asyncio.to_thread(
        subprocess.run, ["git", "-C", str(project), "config", "core.hooksPath", ".husky/_"], check=True
    )
    moved = "mv .husky h; cp -r h .husky; echo x > .husky/_/pre-commit; echo x > .husky/other"
    _, _, layers = await ran(keeper, policy_again(policy, home, project), moved)
    if "mount" in layers.missing:
        pytest.skip(layers.missing["mount"])
    assert not (hooks / "pre-commit").exists()
    assert (project / ".husky" / "other").exists()


async def test_a_worktree_stays_with_its_repository(keeper: KeeperClient, policy: SandboxPolicy, home: Home) -> None:
    person = Path(policy.cwd).parent
    (main := person / "main").mkdir()
    tree = person / "tree"
    git = await asyncio.to_thread(repository, main)
    await asyncio.to_thread(
        subprocess.run, ["git", "-C", str(main), "worktree", "add", "-q", str(tree)], check=True, capture_output=True
    )
    names = [tree / ".git", git / "worktrees" / "tree" / "commondir"]
    before = [name.read_text() for name in names]
    attempts = f"rm -f .git; echo gitdir: /x > .git; cd {git}; echo /x > worktrees/tree/commondir; mv worktrees w; mv worktrees/tree worktrees/w"
    _, _, layers = await ran(keeper, policy_again(policy, home, tree), attempts)
    if "mount" in layers.missing:
        pytest.skip(layers.missing["mount"])
    assert [name.read_text() for name in names] == before
    words, _, _ = await ran(
        keeper,
        policy_again(policy, home, tree),
        "echo x > b; git add b; git commit -qm two; git log --format=%an | head -1",
    )
    assert words == "Ann\n"


async def test_hooks_of_a_second_folder_that_may_be_written_stay_as_they_are(
    keeper: KeeperClient, policy: SandboxPolicy, home: Home
) -> None:
    (other := Path(policy.cwd).parent / "other").mkdir()
    git = await asyncio.to_thread(repository, other)
    wider = policy_again(policy, home, Path(policy.cwd), write=[other])
    _, _, layers = await ran(keeper, wider, f"echo x > {other}/new; {HOOK.format(git=git)}")
    if "mount" in layers.missing:
        pytest.skip(layers.missing["mount"])
    assert (other / "new").exists()
    assert not (git / "hooks" / "pre-commit").exists()


SERVER = (
    "import http.server, threading, urllib.request as u; "
    "s = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler); "
    "threading.Thread(target=s.serve_forever, daemon=True).start(); "
    "print(u.urlopen(f'http://127.0.0.1:{s.server_port}/a.txt').read().decode())"
)


async def test_programs_that_serve_on_this_machine_and_pools_of_processes_work(
    keeper: KeeperClient, policy: SandboxPolicy
) -> None:
    words, ended, layers = await ran(keeper, policy, f'python3 -c "{SERVER}" 2> /dev/null')
    if "network" in layers.missing:
        pytest.skip(layers.missing["network"])
    assert (words.strip(), ended.code) == ("hello", 0)
    pool = "from concurrent.futures import ProcessPoolExecutor as P\nif __name__ == '__main__':\n with P(2) as p: print(sum(p.map(abs, range(9))))"
    words, ended, _ = await ran(keeper, policy, "cat > pool.py; python3 pool.py", stdin=pool.encode())
    assert (words.strip(), ended.code) == ("36", 0)


async def test_every_attempt_to_get_out_or_to_take_too_much_is_stopped(
    keeper: KeeperClient, policy: SandboxPolicy, home: Home, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent.sock"))
        agent.listen()
        sockets = [str(home.sockets / "keeper.sock"), str(tmp_path / "agent.sock")]
        layers, tried = await collected(
            try_walls(ToolSandbox(keeper), policy, home=tmp_path / "person", sockets=sockets)
        )
    assert layers is not None
    if not layers.whole:
        pytest.skip(f"not all walls are here: {layers.missing}")
    assert len(tried) >= 18
    assert [one for one in tried if not one.stopped] == []


async def test_what_a_command_leaves_behind_ends_with_it(keeper: KeeperClient, policy: SandboxPolicy) -> None:
    words, ended, _ = await ran(keeper, policy, "setsid sleep 71.25 > /dev/null 2>&1 & echo left")
    assert (words, ended.code) == ("left\n", 0)
    await until(lambda: not running("71.25"))


async def test_who_stops_listening_ends_the_command_and_all_that_it_started(
    keeper: KeeperClient, policy: SandboxPolicy
) -> None:
    events = ToolSandbox(keeper).run(shell_command("setsid sleep 72.25 & sleep 72.25 & echo on; sleep 72.25"), policy)
    async for event in events:
        if isinstance(event, OutputChunk):
            break
    await until(lambda: running("72.25"))
    await events.aclose()
    await until(lambda: not running("72.25"))


@pytest.mark.parametrize("who", ["sandbox", "keeper and sandbox"])
async def test_no_command_outlives_the_process_that_started_it(
    home: Home, keeper: KeeperClient, policy: SandboxPolicy, who: str
) -> None:
    events = ToolSandbox(keeper).run(shell_command("echo on; sleep 73.25"), policy)
    async for event in events:
        if isinstance(event, OutputChunk):
            break
    processes: dict[str, int] = {one.kind: one.pid for one in await keeper.processes()}
    for kind in who.split(" and "):
        os.kill(processes[kind], signal.SIGKILL)
    with pytest.raises(EngineError, match="has ended, and the command with it"):
        async for _ in events:
            pass
    await until(lambda: not running("73.25"))
    words, _, _ = await ran(keeper, policy, "echo again")
    assert words == "again\n"


async def test_limits_are_named(keeper: KeeperClient, policy: SandboxPolicy) -> None:
    _, ended, _ = await ran(keeper, msgspec.structs.replace(policy, seconds=0.5), "sleep 60")
    assert ended.limit == "time"
    assert ended.words.startswith("it was ended after ")
    words, ended, _ = await ran(keeper, msgspec.structs.replace(policy, output=1000), "yes")
    assert (ended.limit, len(words)) == ("output", 1000)
    words, _, _ = await ran(
        keeper, msgspec.structs.replace(policy, memory=200 << 20), "python3 -c 'bytearray(1 << 30)'"
    )
    assert "MemoryError" in words


async def test_two_commands_at_a_time_do_not_see_each_other(keeper: KeeperClient, policy: SandboxPolicy) -> None:
    one, other = await asyncio.gather(
        *(
            ran(keeper, policy, f"echo {name} > /tmp/mine; sleep 0.3; cat /tmp/mine; ls /proc | grep -c '^[0-9]'")
            for name in ("a", "b")
        )
    )
    assert [one[0].split()[0], other[0].split()[0]] == ["a", "b"]
    assert all(int(done[0].split()[1]) < 8 for done in (one, other))


async def test_a_program_that_is_not_there_is_named(keeper: KeeperClient, policy: SandboxPolicy) -> None:
    with pytest.raises(EngineError, match="/nowhere/program: No such file or directory"):
        async for _ in ToolSandbox(keeper).run(["/nowhere/program"], policy):
            pass


@pytest.mark.parametrize("argv", [[], [""], ["ls"], ["/bin/echo", "a\0b"]])
async def test_what_is_no_command_is_refused_in_words(
    keeper: KeeperClient, policy: SandboxPolicy, argv: list[str]
) -> None:
    with pytest.raises(UsageError, match="A command is a program by its whole path"):
        async for _ in ToolSandbox(keeper).run(argv, policy):
            pass


async def test_nothing_runs_where_a_wall_that_is_required_is_missing(
    keeper: KeeperClient, policy: SandboxPolicy
) -> None:
    strict = msgspec.structs.replace(policy, required=("landlock", "seccomp", "network"))
    _, _, layers = await ran(keeper, strict, "true")
    assert not layers.missing.keys() & {"landlock", "seccomp", "network"}


async def test_the_sandbox_is_listed_and_answers_nobody_without_its_key(
    home: Home, keeper: KeeperClient, policy: SandboxPolicy
) -> None:
    await ran(keeper, policy, "true")
    [host] = [one for one in await keeper.processes() if one.kind == "sandbox"]
    assert host.detail == "idle"
    [path] = home.sockets.glob("sandbox-*.sock")
    reader, writer = await asyncio.open_unix_connection(str(path))
    order: dict[str, Any] = msgspec.to_builtins(policy) | {"argv": ["/bin/true"], "key": "another"}
    writer.write(msgspec.json.encode(order) + b"\n")
    assert await reader.read() == b""
    writer.close()


def test_neither_a_home_nor_all_of_omni_is_a_project(home: Home, tmp_path: Path, scratch: Path) -> None:
    person = tmp_path / "someone"
    (person / "code").mkdir(parents=True)
    for folder in (person, tmp_path, home.root):
        with pytest.raises(UsageError, match="holds your home, or all that Omni keeps"):
            policy_for(folder, scratch, home=person, omni=home.root, outside={})
    with pytest.raises(UsageError, match="holds your home"):
        policy_for(person / "code", scratch, home=person, omni=home.root, outside={}, write=[person])


def test_what_belongs_to_everybody_is_no_project(home: Home, tmp_path: Path, scratch: Path) -> None:
    for folder in (Path("/"), Path("/tmp"), Path("/usr"), Path("/srv")):
        with pytest.raises(UsageError, match="belongs to everybody"):
            policy_for(folder, scratch, home=tmp_path / "person", omni=home.root, outside={})


def test_an_environment_that_a_command_may_change_opens_nothing(
    home: Home, project: Path, scratch: Path, tmp_path: Path
) -> None:
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (tmp_path / "keys" / "no").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(tmp_path / "keys" / "no" / "such")
    wanted = policy_for(project, scratch, home=project.parent, omni=home.root, outside={"VIRTUAL_ENV": str(venv)})
    assert str(tmp_path / "keys") not in wanted.read


def test_omnis_own_code_is_no_commands_to_change(home: Home, scratch: Path, tmp_path: Path) -> None:
    root = Path(policy_for.__code__.co_filename).resolve().parents[2]
    wanted = policy_for(root, scratch, home=tmp_path / "person", omni=home.root, outside={})
    assert str(root / "omni") in wanted.fixed


def test_the_environment_is_made_anew(home: Home, project: Path, scratch: Path) -> None:
    outside = {
        "PATH": f"/usr/bin:{project.parent}/bin:/bin",
        "LANG": "de_DE.UTF-8",
        "HF_TOKEN": "secret",
        "SSH_AUTH_SOCK": "/run/agent",
    }
    made = policy_for(project, scratch, home=project.parent, omni=home.root, outside=outside).environment
    assert made["PATH"] == "/usr/bin:/bin:/usr/local/bin"
    assert made["LANG"] == "de_DE.UTF-8"
    assert not {"HF_TOKEN", "SSH_AUTH_SOCK"} & made.keys()


def test_a_folder_that_this_user_may_not_enter_is_left_out(home: Home, project: Path, scratch: Path) -> None:
    locked = project.parent / "locked"
    (locked / "bin").mkdir(parents=True)
    locked.chmod(0)
    outside = {"PATH": f"{locked}/bin:/usr/bin", "VIRTUAL_ENV": f"{locked}/environment"}
    try:
        with ordinary_user():
            made = policy_for(
                project, scratch, home=project.parent, omni=home.root, outside=outside, read=[locked / "bin"]
            )
    finally:
        locked.chmod(0o700)
    assert made.environment["PATH"].split(":")[0] == "/usr/bin"
    assert "VIRTUAL_ENV" not in made.environment
    assert str(locked / "bin") not in made.read


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (".env", True),
        (".env.local", True),
        (".env.example", False),
        ("id_rsa", True),
        ("id_rsa.pub", False),
        ("server.PEM", True),
        ("a.py", False),
    ],
)
def test_secrets_are_known_by_their_names(home: Home, project: Path, scratch: Path, name: str, secret: bool) -> None:
    (project / "deep").mkdir()
    (project / "deep" / name).touch()
    hidden = policy_for(project, scratch, home=project.parent, omni=home.root, outside={}).hidden
    assert (str(project.resolve() / "deep" / name) in hidden) is secret


def test_a_worktree_may_write_to_its_repository_and_a_stranger_names_none(
    home: Home, tmp_path: Path, scratch: Path
) -> None:
    main, tree, stranger = (tmp_path / name for name in ("main", "tree", "stranger"))
    git = ["git", "-c", "user.name=a", "-c", "user.email=b", "-C", str(main)]
    subprocess.run(["git", "init", "-q", str(main)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", str(tree)], check=True)
    kept = stranger / "repository" / "worktrees" / "it"
    kept.mkdir(parents=True)
    (kept / "gitdir").write_text(f"{stranger / '.git'}\n")
    (kept / "commondir").write_text(f"{main / '.git'}\n")
    (stranger / "repository" / "objects").mkdir()
    wanted: dict[str, Any] = {"home": tmp_path / "person", "omni": home.root, "outside": {}}
    assert str(main / ".git") in policy_for(tree, scratch, **wanted).write
    for named in (main / ".git", main / ".git" / "worktrees" / "tree", kept):
        (stranger / ".git").write_text(f"gitdir: {named}\n")
        assert policy_for(stranger, scratch, **wanted).write == (str(stranger), str(scratch))


def running(argument: str) -> bool:
    """Whether a process with this argument lives anywhere on the machine."""
    wanted = argument.encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[-2:-1] == [wanted]:
                return True
        except OSError:
            continue
    return False
