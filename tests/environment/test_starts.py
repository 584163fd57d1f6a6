"""Whole starts of a tiny clone: first, second, two at once, killed, without network, with wrong bytes."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from omni.core.paths import Home
from omni.keeper import set_air_gap
from omni.keeper.installer import end_installer

pytestmark = pytest.mark.real

PYTHON = getattr(sys, "_base_executable", sys.executable)
Clone = Any  # tests/environment/conftest.py


def omni(
    clone: Clone, environment: dict[str, str], *arguments: str, **options: Any
) -> subprocess.CompletedProcess[str]:
    """`python3 -m omni …` in the clone."""
    options = {"cwd": clone.root, "env": environment, "capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([PYTHON, "-m", "omni", *arguments], **options)


def environments(environment: dict[str, str]) -> list[Path]:
    """Folders under venvs, whole or not."""
    return sorted(Path(environment["OMNI_HOME"], "venvs").glob("*"))


def whole(environment: dict[str, str]) -> list[Path]:
    return [each for each in environments(environment) if (each / "omni.json").is_file()]


def facts(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return report


class Gate(SimpleHTTPRequestHandler):
    """An index that tells when a wheel is asked for, and answers when it is let."""

    asked: threading.Event
    open: threading.Event

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            self.asked.set()
            self.open.wait(60)
        try:
            super().do_GET()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def gate(clone: Clone, environment: dict[str, str]) -> Iterator[type[Gate]]:
    """The tiny index behind a server on this machine; pip's own wheel is found in a folder."""

    class Own(Gate):
        asked, open = threading.Event(), threading.Event()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Own, directory=clone.index))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    folder = clone.index.parent / "installer"
    folder.mkdir()
    shutil.copy(clone.installer, folder)
    environment["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.server_port}/simple"
    environment["PIP_FIND_LINKS"] = str(folder)
    yield Own
    Own.open.set()
    server.shutdown()
    server.server_close()
    thread.join()


def started(clone: Clone, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-m", "omni", *arguments],
        cwd=clone.root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_first_start_sets_up_and_the_second_does_not(clone: Clone, environment: dict[str, str]) -> None:
    first = omni(clone, environment, "run", "@omni/smollm2", "--safe")
    assert facts(first)["arguments"] == ["run", "@omni/smollm2", "--safe"]
    (made,) = whole(environment)
    home = Path(environment["OMNI_HOME"])
    assert facts(first)["prefix"] == str(made)
    assert (home / "venv").readlink() == Path("venvs") / made.name
    assert not (made / "bin" / "pip").exists()
    assert (made / "pip.whl").read_bytes() == clone.installer.read_bytes()
    before = (made / "omni.json").stat().st_mtime_ns
    shutil.rmtree(clone.index)  # nothing is asked any more
    second = omni(clone, environment)
    assert facts(second)["prefix"] == str(made)
    assert second.stderr == ""
    assert (made / "omni.json").stat().st_mtime_ns == before


def test_it_works_as_on_debian_without_pip_and_ensurepip(clone: Clone, environment: dict[str, str]) -> None:
    hidden = "import sys; sys.modules['ensurepip'] = sys.modules['pip'] = None; import runpy; runpy.run_module('omni', run_name='__main__')"
    ran = subprocess.run(
        [PYTHON, "-S", "-c", hidden], cwd=clone.root, env=environment, capture_output=True, text=True, timeout=120
    )
    assert facts(ran)["version"] == "1.0"


def test_the_clones_code_runs_whatever_the_working_folder_holds(
    clone: Clone, environment: dict[str, str], tmp_path: Path
) -> None:
    omni(clone, environment)
    trap = tmp_path / "trap"
    (trap / "omni").mkdir(parents=True)
    for name in ("json.py", "click.py", "tiny_a.py", "subprocess.py", "omni/__init__.py", "omni/__main__.py"):
        (trap / name).write_text("raise SystemExit('the trap')\n")
    command = Path(environment["OMNI_HOME"]) / "bin" / "omni"
    environment["PYTHONPATH"] = str(trap)
    ran = subprocess.run([command, "chat", "a  b"], cwd=trap, env=environment, capture_output=True, text=True)
    report = facts(ran)
    assert report["arguments"] == ["chat", "a  b"]
    assert report["code"] == str(clone.root / "omni" / "cli" / "main.py")
    assert report["path"][0] == str(clone.root)
    assert report["isolated"]


def test_the_command_finds_its_home_again_without_the_variable(clone: Clone, environment: dict[str, str]) -> None:
    first = facts(omni(clone, environment))
    home = environment.pop("OMNI_HOME")
    ran = subprocess.run([f"{home}/bin/omni"], cwd="/", env=environment, capture_output=True, text=True)
    assert facts(ran)["prefix"] == first["prefix"]


def test_a_clone_that_moved_is_found_at_its_next_start(
    clone: Clone, environment: dict[str, str], tmp_path: Path
) -> None:
    omni(clone, environment)
    clone.root = clone.root.rename(tmp_path / "it's moved")
    command = [f"{environment['OMNI_HOME']}/bin/omni"]
    lost = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert lost.returncode == 4
    assert "no longer at" in lost.stderr
    assert omni(clone, environment).stderr == ""  # the environment is still right
    assert facts(subprocess.run(command, env=environment, capture_output=True, text=True))["version"] == "1.0"


@pytest.mark.parametrize("length", [200])
def test_a_home_with_a_long_path_works(clone: Clone, environment: dict[str, str], tmp_path: Path, length: int) -> None:
    folder = tmp_path / "x"
    environment["OMNI_HOME"] = str(folder / ("y" * (length - len(str(folder)) - 1)))
    assert len(environment["OMNI_HOME"]) == length
    assert facts(omni(clone, environment))["prefix"].startswith(environment["OMNI_HOME"])
    assert omni(clone, environment).stderr == ""


def test_a_home_with_spaces_quotes_and_umlauts_works(clone: Clone, environment: dict[str, str], tmp_path: Path) -> None:
    environment["OMNI_HOME"] = str(tmp_path / "a b'c\"d$e ü")
    assert facts(omni(clone, environment))["version"] == "1.0"
    command = f"{environment['OMNI_HOME']}/bin/omni"
    assert facts(subprocess.run([command], env=environment, capture_output=True, text=True))["version"] == "1.0"


def test_help_and_version_install_nothing(clone: Clone, environment: dict[str, str]) -> None:
    reference = clone.root / "omni" / "cli" / "reference.txt"
    assert omni(clone, environment, "--version").stdout.startswith("omni 0.")
    assert omni(clone, environment, "--help").stdout.startswith("Usage: omni")
    reference.write_text("\x0comni\nUsage: omni, all of it\n\x0comni chat\nUsage: omni chat PROMPT\n")
    assert omni(clone, environment, "--help").stdout == "Usage: omni, all of it\n"
    assert omni(clone, environment, "chat", "--help").stdout == "Usage: omni chat PROMPT\n"
    assert not Path(environment["OMNI_HOME"]).exists()


def test_two_starts_at_once_set_up_once(clone: Clone, environment: dict[str, str], gate: type[Gate]) -> None:
    first = started(clone, environment, "one")
    assert gate.asked.wait(60)
    second = started(clone, environment, "two")
    assert second.stderr is not None
    line = second.stderr.readline()
    assert "prepares" in line or "Another start is setting up" in line
    while "Another start" not in line:
        line = second.stderr.readline()
        assert line
    gate.open.set()
    answers = [each.communicate(timeout=60) for each in (first, second)]
    assert [json.loads(out)["arguments"] for out, _ in answers] == [["one"], ["two"]]
    assert "Fetching packages" in answers[1][1] or "Installing packages" in answers[1][1] or "Ready" in answers[1][1]
    assert len(environments(environment)) == 1


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_set_up_that_is_ended_is_redone(
    clone: Clone, environment: dict[str, str], gate: type[Gate], sign: signal.Signals
) -> None:
    process = started(clone, environment)
    assert gate.asked.wait(60)
    process.send_signal(sign)
    _, words = process.communicate(timeout=60)
    home = Path(environment["OMNI_HOME"])
    with (home / "setup.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held by the installer and pip, too: they have ended
    assert not whole(environment)
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert "nothing half-made is kept" in words
        assert not environments(environment)
    gate.open.set()
    assert facts(omni(clone, environment))["version"] == "1.0"
    assert len(environments(environment)) == 1


def test_killing_the_installer_is_one_sentence(clone: Clone, environment: dict[str, str], gate: type[Gate]) -> None:
    process = started(clone, environment)
    assert gate.asked.wait(60)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "The installer was ended by signal 9." in words
    assert not environments(environment)


def test_a_wrong_hash_is_a_bad_file_and_nothing_is_kept(clone: Clone, environment: dict[str, str]) -> None:
    clone.lock("core", clone.packages, wrong=True)
    ran = omni(clone, environment)
    assert ran.returncode == 8, ran.stderr
    assert "tiny-a==1.0 from the index is not the file that the lock names" in ran.stderr
    assert not environments(environment)


def test_a_wrong_installer_is_a_bad_file(clone: Clone, environment: dict[str, str]) -> None:
    clone.lock("installer", [clone.installer], wrong=True)
    ran = omni(clone, environment)
    assert ran.returncode == 8, ran.stderr
    assert "is not the pinned" in ran.stderr
    assert not environments(environment)


def test_an_index_without_the_package_is_one_sentence(clone: Clone, environment: dict[str, str]) -> None:
    shutil.rmtree(clone.index / "simple" / "tiny-b")
    ran = omni(clone, environment)
    assert ran.returncode == 4, ran.stderr
    assert "has no tiny-b==2.0" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not environments(environment)


def test_an_index_that_does_not_answer_is_a_shut_door(clone: Clone, environment: dict[str, str]) -> None:
    environment |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    ran = omni(clone, environment)
    assert ran.returncode == 7, ran.stderr
    assert "Traceback" not in ran.stderr
    assert not environments(environment)


def test_the_air_gap_holds_for_set_up(clone: Clone, environment: dict[str, str]) -> None:
    home = Path(environment["OMNI_HOME"])
    home.mkdir()
    (home / "air-gap").touch()
    ran = omni(clone, environment)
    assert ran.returncode == 7
    assert "air gap" in ran.stderr


def test_the_air_gap_ends_a_set_up_in_its_middle(clone: Clone, environment: dict[str, str], gate: type[Gate]) -> None:
    process = started(clone, environment)
    assert gate.asked.wait(60)
    home = Home(environment["OMNI_HOME"])
    set_air_gap(home, True)
    assert end_installer(home)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7, said
    assert "air gap was turned on" in said
    assert not environments(environment)


def test_a_repair_that_fails_leaves_what_works(clone: Clone, environment: dict[str, str]) -> None:
    omni(clone, environment)
    (made,) = environments(environment)
    (made / "mark").touch()
    offline = environment | {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    assert omni(clone, offline, "environment", "repair").returncode == 7
    assert environments(environment) == [made]
    assert facts(omni(clone, offline))["prefix"] == str(made)
    assert omni(clone, environment, "environment", "repair").returncode == 0
    assert environments(environment) == [made]
    assert not (made / "mark").exists()
    assert facts(omni(clone, offline))["version"] == "1.0"


def test_pips_own_install_settings_do_not_lead_astray(
    clone: Clone, environment: dict[str, str], tmp_path: Path
) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text("[install]\nuser = true\n")
    environment |= {"PIP_CONFIG_FILE": str(settings), "PIP_TARGET": str(tmp_path / "other"), "PIP_QUIET": "3"}
    assert facts(omni(clone, environment))["version"] == "1.0"
    settings.write_text(f"[install]\ntarget = {tmp_path / 'other'}\n")
    shutil.rmtree(environment["OMNI_HOME"])
    ran = omni(clone, environment)
    assert ran.returncode == 4
    assert "`target`" in ran.stderr


def test_an_update_disturbs_no_open_shell_and_is_cleaned_up_later(clone: Clone, environment: dict[str, str]) -> None:
    omni(clone, environment)
    (old,) = environments(environment)
    shell = started(clone, environment, "hold")
    assert shell.stdout is not None
    assert shell.stdout.readline() == "open\n"
    (clone.requirements / "core.txt").write_text((clone.requirements / "core.txt").read_text() + "# newer\n")
    new = Path(facts(omni(clone, environment))["prefix"])
    assert new != old
    assert set(whole(environment)) == {old, new}
    out, _ = shell.communicate("", timeout=60)
    assert json.loads(out)["prefix"] == str(old)
    (clone.requirements / "core.txt").write_text((clone.requirements / "core.txt").read_text() + "# newest\n")
    newest = Path(facts(omni(clone, environment))["prefix"])
    assert whole(environment) == [newest]


def test_a_python_that_went_away_is_set_up_anew(clone: Clone, environment: dict[str, str]) -> None:
    omni(clone, environment)
    (made,) = environments(environment)
    (made / "bin" / "python").unlink()
    (made / "bin" / "python").symlink_to("/gone/python3")
    ran = omni(clone, environment)
    assert facts(ran)["version"] == "1.0"
    assert "prepares" in ran.stderr


def test_a_damaged_environment_names_the_command_that_mends_it(clone: Clone, environment: dict[str, str]) -> None:
    omni(clone, environment)
    (made,) = environments(environment)
    (module,) = made.glob("lib/*/site-packages/tiny_a.py")
    module.unlink()
    shutil.rmtree(module.parent / "__pycache__", ignore_errors=True)
    (clone.root / "omni" / "cli" / "main.py").write_text("import tiny_a\ndef main(): return 0\n")
    ran = omni(clone, environment)
    assert ran.returncode == 4
    assert "tiny_a is missing or broken" in ran.stderr
    assert "omni environment repair" in ran.stderr
    assert omni(clone, environment, "environment", "repair").returncode == 0
    assert omni(clone, environment).returncode == 0
    assert len(environments(environment)) == 1


def test_own_means_the_python_that_was_started(clone: Clone, environment: dict[str, str]) -> None:
    environment["OMNI_ENVIRONMENT"] = "own"
    (clone.root / "omni" / "cli" / "main.py").write_text("import sys\ndef main(): print(sys.prefix)\n")
    assert Path(omni(clone, environment).stdout.strip()).samefile(sys.base_prefix)
    assert not Path(environment["OMNI_HOME"]).exists()


def test_develop_runs_a_module_with_the_development_requirements(clone: Clone, environment: dict[str, str]) -> None:
    ran = omni(clone, environment, "develop", "site")
    assert ran.returncode == 0, ran.stderr
    assert str(environments(environment)[0]) in ran.stdout
    assert not Path(environment["OMNI_HOME"], "venv").is_symlink()
    inside = subprocess.run(
        [environments(environment)[0] / "bin" / "python", "-m", "omni"],
        cwd=clone.root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert facts(inside)["prefix"] == str(environments(environment)[0])  # it is enough: no second environment
    assert len(environments(environment)) == 1


def needs_root(command: list[str]) -> None:
    if os.getuid() or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("needs root")


def test_an_export_sets_up_without_any_network(clone: Clone, environment: dict[str, str], tmp_path: Path) -> None:
    needs_root(["unshare", "-n"])
    export = export_of(clone, environment, tmp_path)
    environment |= {"OMNI_HOME": str(tmp_path / "other"), "PIP_INDEX_URL": "https://index.invalid/simple"}
    ran = subprocess.run(
        ["unshare", "-n", PYTHON, "-m", "omni", "run", "--from", ".."],
        cwd=export / "source", env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert facts(ran)["from"] == str(export)
    assert facts(ran)["arguments"] == ["run"]
    assert facts(ran)["code"].startswith(str(export / "source"))


def test_a_wrong_byte_in_an_export_is_a_bad_file(clone: Clone, environment: dict[str, str], tmp_path: Path) -> None:
    export = export_of(clone, environment, tmp_path)
    wheel = next((export / "wheels").glob("tiny_b*"))
    data = bytearray(wheel.read_bytes())
    data[10] ^= 1
    wheel.write_bytes(data)
    environment["OMNI_HOME"] = str(tmp_path / "other")
    ran = omni(clone, environment, f"--from={export}")
    assert ran.returncode == 8
    assert "is not the file that was exported" in ran.stderr
    assert not environments(environment)
    assert omni(clone, environment, "run", "--from", str(tmp_path)).returncode == 3


def export_of(clone: Clone, environment: dict[str, str], tmp_path: Path) -> Path:
    """What `omni export` writes, from the tiny clone."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from omni.core.paths import Home;"
        "from omni.environment import export_wheels; from omni.environment.progress import Terminal;"
        "export_wheels(Home.from_environment(), Path(sys.argv[2]), Terminal())"
    )
    folder = tmp_path / "export"
    command = [PYTHON, "-I", "-c", code, str(clone.root), str(folder)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return folder


def test_a_full_disk_is_one_sentence(clone: Clone, environment: dict[str, str], tmp_path: Path) -> None:
    needs_root(["unshare", "-m"])
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o size=1m none "{disk}" && exec "$@"'
    environment["OMNI_HOME"] = str(disk / "home")
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", PYTHON, "-m", "omni"],
        cwd=clone.root, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 9
    assert "are free" in ran.stderr
    # What fills up in the middle, too: the check before is told that a byte is enough.
    source = clone.root / "omni" / "environment" / "prepare.py"
    source.write_text(source.read_text().replace("320_000_000", "1"))
    full = f'mount -t tmpfs -o size=1m none "{disk}" && "$@"; code=$?; ls "{disk}/home/venvs" >&2; exit $code'
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", full, "sh", PYTHON, "-m", "omni"],
        cwd=clone.root, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 9
    assert "is full" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_read_only_home_is_one_sentence(clone: Clone, environment: dict[str, str], tmp_path: Path) -> None:
    needs_root(["unshare", "-m"])
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o ro none "{disk}" && exec "$@"'
    environment["OMNI_HOME"] = str(disk)
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", PYTHON, "-m", "omni"],
        cwd=clone.root, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 4
    assert "read-only" in ran.stderr


def test_a_clone_without_its_lock_file_is_one_sentence(clone: Clone, environment: dict[str, str]) -> None:
    (clone.requirements / "core.txt").unlink()
    ran = omni(clone, environment)
    assert ran.returncode == 8
    assert "lock file" in ran.stderr
    assert "Traceback" not in ran.stderr
