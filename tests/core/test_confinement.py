"""The wall: what it refuses, from where, and the list of things that must go on working behind it."""

import errno
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core import confinement

ROOT = str(Path(confinement.__file__).parents[2])
MACHINES = confinement._MACHINES
KILL, ALLOW = 0x80000000, 0x7FFF0000
ENOSYS, EPERM, ENETDOWN = 0x50000 | 38, 0x50000 | 1, 0x50000 | 100

pytestmark = pytest.mark.skipif(confinement.this_machine() is None, reason="no filter for this machine")


def behind(code: str, *, before: str = "", arguments: str = "") -> Any:
    """Run `before` in a fresh Python, set the filter, run `code`; the answer is what `code` gives to `tell(...)`."""
    script = (
        "import json, os, sys\n"
        f"sys.path.insert(0, {ROOT!r})\n"
        "from omni.core import confinement\n"
        "def tell(value): print('\\n' + json.dumps(value), flush=True)\n"
        f"{dedent(before)}\nconfined = confinement.confine({arguments})\nassert confined.enforced, confined\n{dedent(code)}"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- the program itself, run by a small interpreter, so that machines that are not here are tested too ---


def verdict(program: bytes, arch: int, number: int, first: int, second: int = 0) -> int:
    """What the kernel would do; instructions as in linux/filter.h."""
    data = struct.pack("<iIQQQ", number if number < 1 << 31 else number - (1 << 32), arch, 0, first, second) + bytes(32)
    code = list(struct.iter_unpack("<HBBI", program))
    at, accumulator = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x15:
            at += yes if accumulator == value else no
        elif operation == 0x35:
            at += yes if accumulator >= value else no
        else:
            assert operation == 0x06
            return int(value)


@pytest.mark.parametrize("name", MACHINES)
@given(family=st.integers(0, 2**32 - 1), high=st.integers(0, 2**32 - 1))
def test_only_unix_sockets_pass_whatever_the_high_word_says(name: str, family: int, high: int) -> None:
    machine = MACHINES[name]
    program = confinement.filter_program(machine=machine)
    wanted = ALLOW if family == 1 else ENETDOWN
    for number in (machine.socket, machine.socketpair):
        assert verdict(program, machine.audit_arch, number, high << 32 | family) == wanted


@pytest.mark.parametrize("name", MACHINES)
@given(family=st.sampled_from([1, 2, 16]), kind=st.integers(0, 15), flags=st.integers(0, 2**60 - 1))
def test_without_connect_only_streams_pass(name: str, family: int, kind: int, flags: int) -> None:
    machine = MACHINES[name]
    program = confinement.filter_program(machine=machine, connect=False)
    wanted = ALLOW if family == 1 and kind == 1 else ENETDOWN
    for number in (machine.socket, machine.socketpair):
        assert verdict(program, machine.audit_arch, number, family, flags << 4 | kind) == wanted


@pytest.mark.parametrize("name", MACHINES)
@given(arch=st.integers(0, 2**32 - 1), number=st.integers(0, 2**32 - 1))
def test_a_foreign_architecture_is_killed_whatever_it_calls(name: str, arch: int, number: int) -> None:
    machine = MACHINES[name]
    expected = KILL if arch != machine.audit_arch else None
    assert expected is None or verdict(confinement.filter_program(machine=machine), arch, number, 0) == expected


@given(st.integers(0x40000000, 0xFFFFFFFE))
def test_x32_numbers_are_killed(number: int) -> None:
    machine = MACHINES["x86_64"]
    assert verdict(confinement.filter_program(machine=machine), machine.audit_arch, number, 1) == KILL


@pytest.mark.parametrize("name", MACHINES)
@given(st.sampled_from([0x5412, 0x541C, 0x5413, 0x5401, 0]), st.integers(0, 2**32 - 1))
def test_nobody_types_into_the_terminal_of_others(name: str, request: int, high: int) -> None:
    machine = MACHINES[name]
    wanted = EPERM if request in (0x5412, 0x541C) else ALLOW
    assert (
        verdict(confinement.filter_program(machine=machine), machine.audit_arch, machine.ioctl, 0, high << 32 | request)
        == wanted
    )


def test_the_number_by_which_a_tracer_skips_a_call_passes() -> None:
    machine = MACHINES["x86_64"]
    assert verdict(confinement.filter_program(machine=machine), machine.audit_arch, 0xFFFFFFFF, 0) == ALLOW


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("connect", [True, False])
@pytest.mark.parametrize("execute", [True, False])
def test_every_number_gets_the_answer_of_the_table(name: str, connect: bool, execute: bool) -> None:
    machine = MACHINES[name]
    program = confinement.filter_program(machine=machine, connect=connect, execute=execute)
    special = dict.fromkeys(machine.io_uring, ENOSYS)
    special |= dict.fromkeys((machine.pidfd_getfd, machine.ptrace, *machine.memory), EPERM)
    special |= {machine.socket: ENETDOWN, machine.socketpair: ENETDOWN}
    special |= {} if connect else {machine.connect: EPERM}
    special |= {} if execute else dict.fromkeys(machine.execs, EPERM)
    for number in range(600):
        assert verdict(program, machine.audit_arch, number, 2) == special.get(number, ALLOW), number


# --- the real thing ---


def test_every_way_around_is_refused_here_and_in_a_child() -> None:
    attempts = behind("tell([list(a) for a in confinement.attempts()])")
    assert {(what, where) for what, where, _, _ in attempts} >= {
        (what, where) for what in ("AF_INET", "AF_INET6", "AF_NETLINK", "io_uring") for where in ("itself", "a child")
    }
    assert all(refused for _, _, refused, _ in attempts), attempts
    assert {how for what, _, _, how in attempts if what == "AF_INET"} == {"ENETDOWN"}
    assert {how for what, _, _, how in attempts if what == "io_uring"} == {"ENOSYS"}
    assert {how for what, _, _, how in attempts if what == "foreign ABI"} <= {
        "x32: killed by SIGSYS",
        "i386: killed by SIGSYS",
    }


def test_the_attempts_work_where_nothing_may_be_executed() -> None:
    attempts = behind("tell([list(a) for a in confinement.attempts()])", arguments="connect=False, execute=False")
    assert attempts
    assert all(refused for _, _, refused, _ in attempts), attempts


def test_without_the_wall_the_attempts_say_that_nobody_was_refused() -> None:
    script = f"import sys; sys.path.insert(0, {ROOT!r}); from omni.core import confinement; print(confinement.state().enforced, confinement.attempts()[0].refused)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).split() == ["False", "False"]


def test_threads_that_were_running_are_confined_too() -> None:
    error = behind(
        "go.set(); thread.join(); tell(found)",
        before="""
            import socket, threading
            go, found = threading.Event(), []
            def work():
                go.wait()
                try: socket.socket().close(); found.append(0)
                except OSError as error: found.append(error.errno)
            thread = threading.Thread(target=work); thread.start()
        """,
    )
    assert error == [100]


def test_a_socket_that_listened_before_goes_on() -> None:
    assert behind(
        "tell(server.getsockname()[1] > 0 and server.fileno() >= 0)",
        before="import socket; server = socket.create_server(('127.0.0.1', 0))",
    )


def test_children_by_subprocess_and_asyncio_are_confined() -> None:
    errnos = behind("""
        import asyncio, subprocess
        code = "import socket\\ntry: socket.socket()\\nexcept OSError as error: print(error.errno)"
        plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        async def main():
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
            return (await child.communicate())[0].decode().strip()
        tell([plain, asyncio.run(main())])
    """)
    assert errnos == ["100", "100"]


def test_a_neighbours_descriptor_cannot_be_taken() -> None:
    errnos = behind("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        machine, found = confinement.this_machine(), []
        for number in (machine.pidfd_getfd, machine.ptrace, *machine.memory):
            libc.syscall(number, 0, 0, 0, 0, 0, 0); found.append(ctypes.get_errno())
        tell(found)
    """)
    assert set(errnos) == {1}


def test_the_memory_of_processes_outside_cannot_be_written() -> None:
    code = "tell(confinement._leave_neighbours_alone(confinement._libc()))"
    if not behind(code):
        pytest.skip("this kernel has no Landlock")
    with subprocess.Popen(["sleep", "60"]) as neighbour:
        outcomes = behind(
            f"""
            import subprocess
            child = subprocess.Popen(["sleep", "60"])
            said = []
            for pid in ({neighbour.pid}, child.pid):
                try:
                    with open(f"/proc/{{pid}}/mem", "r+b", buffering=0): said.append("opened")
                except OSError as error: said.append(type(error).__name__)
            child.kill(); child.wait()
            os.kill({neighbour.pid}, 0)
            tell([*said, open("/proc/{neighbour.pid}/status").readline()])
        """
        )
        neighbour.kill()
    assert outcomes == ["PermissionError", "opened", "Name:\tsleep\n"]


def test_without_connect_a_server_still_answers_and_cannot_call() -> None:
    folder = tempfile.mkdtemp(prefix="omni-wall-")
    try:
        refusal = behind(
            f"""
            import socket, threading
            server = socket.socket(socket.AF_UNIX); server.bind({folder!r} + "/s"); server.listen()
            try: socket.socket(socket.AF_UNIX).connect({folder!r} + "/s")
            except OSError as error: tell(error.errno)
        """,
            arguments="connect=False",
        )
    finally:
        shutil.rmtree(folder)
    assert refusal == 1


def test_without_connect_no_datagram_leaves() -> None:
    folder = tempfile.mkdtemp(prefix="omni-wall-")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
            service.bind(f"{folder}/s")
            service.setblocking(False)
            refusal = behind(
                f"""
                import socket
                pair = socket.socketpair()  # what asyncio wakes itself with
                try: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", {folder!r} + "/s")
                except OSError as error: tell(error.errno)
            """,
                arguments="connect=False",
            )
            with pytest.raises(BlockingIOError):
                service.recv(1)
    finally:
        shutil.rmtree(folder)
    assert refusal == errno.ENETDOWN


def test_without_execute_threads_and_forks_go_on() -> None:
    told = behind(
        """
        import subprocess, threading
        try: subprocess.run(["/bin/true"]); ran = 0
        except OSError as error: ran = error.errno
        done = []
        thread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()
        pid = os.fork()
        if pid == 0: os._exit(7)
        tell([ran, done, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])])
        """,
        arguments="execute=False",
    )
    assert told == [1, [1], 7]


def test_confining_twice_gives_up_more_and_never_less() -> None:
    told = behind(
        """
        again = confinement.confine()
        try: os.execv("/bin/true", ["true"])
        except OSError as error: tell([list(again), error.errno])
        """,
        arguments="connect=False, execute=False",
    )
    assert told == [[True, "seccomp", "no socket but AF_UNIX, tried"], 1]


@pytest.fixture
def confined_process() -> Iterator[subprocess.Popen[str]]:
    script = (
        f"import sys, threading; sys.path.insert(0, {ROOT!r}); from omni.core import confinement; "
        "threading.Thread(target=sys.stdin.read).start(); confinement.confine(); print('ready', flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("")


def test_the_state_of_another_process_is_read_for_all_its_threads(confined_process: subprocess.Popen[str]) -> None:
    assert confinement.state_of(confined_process.pid) == (True, "seccomp", "Seccomp: 2")
    assert confinement.state_of(confined_process.pid, beside=os.getpid()).enforced
    assert not confinement.state_of(
        confined_process.pid, beside=confined_process.pid
    ).enforced  # only what a container set


def test_the_state_of_an_open_or_absent_process_is_said(tmp_path: Path) -> None:
    assert not confinement.state().enforced
    assert confinement.state_of(os.getpid()) == (False, "none", "no filter is set")
    assert confinement.state_of(2**22 + 1) == (False, "none", "no such process")


def test_an_undumpable_process_has_no_core_and_no_readers() -> None:
    assert behind("confinement.undumpable(); tell(confinement._libc().prctl(3, 0, 0, 0, 0))") == 0


def test_a_machine_without_a_filter_is_not_called_enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "this_machine", lambda: None)
    confined = confinement.confine()
    assert (confined.enforced, confined.kind) == (False, "none")
    assert "no filter for" in confined.reason


def test_importing_the_wall_imports_no_ctypes() -> None:
    script = f"import sys; sys.path.insert(0, {ROOT!r}); import omni.core.confinement; print('ctypes' in sys.modules, 'socket' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-I", "-S", "-c", script], text=True).split() == ["False", "False"]


# --- what must still work behind it ---


def test_a_shell_and_a_pipe_work_behind_it() -> None:
    assert (
        behind("""
            import subprocess
            tell(subprocess.run(["/bin/sh", "-c", "printf copied | cat"], capture_output=True, text=True).stdout)
        """)
        == "copied"
    )


def test_a_clipboard_command_gets_its_text_behind_it(tmp_path: Path) -> None:
    target = tmp_path / "clipboard"
    behind(f"""
        import subprocess
        subprocess.run(["/bin/sh", "-c", 'cat > "$0"', {str(target)!r}], input=b"copied", check=True)
        tell(None)
    """)
    assert target.read_text() == "copied"


def test_an_editor_on_a_terminal_of_its_own_works_behind_it(tmp_path: Path) -> None:
    target = tmp_path / "note"
    told = behind(f"""
        import pty, subprocess
        ours, theirs = os.openpty()
        editor = 'test -t 0 && read line && printf "%s" "$line" > "$0"'
        with subprocess.Popen(["/bin/sh", "-c", editor, {str(target)!r}], stdin=theirs, start_new_session=True) as child:
            os.write(ours, b"typed\\n")
        pid, terminal = pty.fork()
        if pid == 0: os.execv("/bin/sh", ["sh", "-c", "test -t 1 && echo shown"])
        shown = os.read(terminal, 100).decode().strip()
        os.waitpid(pid, 0)
        tell([child.returncode, shown])
    """)
    assert told == [0, "shown"]
    assert target.read_text() == "typed"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_tmux_client_reaches_its_server_behind_it() -> None:
    folder = tempfile.mkdtemp(prefix="omni-wall-")
    tmux = ["tmux", "-S", f"{folder}/s", "-f", "/dev/null"]
    try:
        subprocess.run([*tmux, "new-session", "-d", "cat"], check=True, env={**os.environ, "TERM": "xterm"})
        message = behind(f"""
            import subprocess
            tell(subprocess.run({[*tmux, "display-message", "-p", "reached"]!r}, capture_output=True, text=True).stdout)
        """)
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    assert message == "reached\n"


def test_live_graphs_of_cpu_and_memory_work_behind_it() -> None:
    readings = behind("""
        import psutil
        tell([psutil.virtual_memory().total, len(psutil.cpu_times(percpu=True)), psutil.Process().memory_info().rss,
              psutil.Process().cpu_times().user >= 0, len(psutil.pids()) > 0])
    """)
    assert all(readings)


def test_unix_servers_and_clients_of_asyncio_work_behind_it() -> None:
    folder = tempfile.mkdtemp(prefix="omni-wall-")
    try:
        reply = behind(f"""
            import asyncio
            async def answer(reader, writer):
                writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
            async def main():
                async with await asyncio.start_unix_server(answer, {folder!r} + "/s"):
                    reader, writer = await asyncio.open_unix_connection({folder!r} + "/s")
                    writer.write(b"hello\\n"); line = await reader.readline(); writer.close()
                    return line.decode()
            tell(asyncio.run(main()))
        """)
    finally:
        shutil.rmtree(folder)
    assert reply == "HELLO\n"


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_a_process_pool_works_behind_it(way: str) -> None:
    numbers = behind(f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({way!r})) as pool:
            tell(list(pool.map(abs, [-1, -2])))
    """)
    assert numbers == [1, 2]


def test_a_database_in_wal_mode_works_behind_it(tmp_path: Path) -> None:
    answers = behind(f"""
        import asyncio
        from pathlib import Path
        from omni.core.database import Database, Migration
        async def main():
            database = Database(Path({str(tmp_path)!r}) / "test.db", [Migration("one", "CREATE TABLE t (x);")])
            await database.write(lambda c: c.execute("INSERT INTO t VALUES (7)"))
            found = await database.read(lambda c: [c.execute("SELECT x FROM t").fetchone()[0],
                                                   c.execute("PRAGMA journal_mode").fetchone()[0]])
            await database.close()
            return found
        tell(asyncio.run(main()))
    """)
    assert answers == [7, "wal"]


# --- what must not be run behind it, and how that looks ---


def test_an_installer_started_here_would_find_the_network_down() -> None:
    """pip and uv retry for seconds and then blame the package: they are started by the keeper, outside."""
    error_code = behind("""
        import subprocess
        code = ("import urllib.request, urllib.error\\n"
                "try: urllib.request.urlopen('http://127.0.0.1:9/', timeout=5)\\n"
                "except urllib.error.URLError as error: print(error.reason.errno)")
        tell(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
    """)
    assert error_code == "100"


def test_an_inet_server_of_asyncio_starts_without_any_socket_here() -> None:
    """asyncio skips families it cannot make: whoever starts a server must look at what came back."""
    assert (
        behind("""
            import asyncio
            async def main():
                server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
                return len(server.sockets)
            tell(asyncio.run(main()))
        """)
        == 0
    )


def test_network_interfaces_cannot_be_listed_here() -> None:
    assert behind("""
        import psutil
        try: psutil.net_if_addrs(); tell(False)
        except OSError: tell(True)
    """)
