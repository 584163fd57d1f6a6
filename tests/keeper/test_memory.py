from pathlib import Path

from omni.core.paths import Home
from omni.keeper import memory


def machine(root: Path, *, available: int = 8_000_000, cgroup: str = "0::/\n") -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 9000000 kB\nMemAvailable: {available} kB\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    return root


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_it_is_a_share_of_what_the_kernel_calls_available(home: Home, tmp_path: Path) -> None:
    root = machine(tmp_path / "root", available=1000)
    assert memory.budget(home, [], root=root) == int(0.8 * 1000 * 1024)


def test_what_workers_have_taken_is_theirs(home: Home, tmp_path: Path) -> None:
    root = machine(tmp_path / "root", available=1000)
    group(root / "proc/7", status="Name: x\nRssAnon:\t500 kB\nVmRSS:\t700 kB")
    assert memory.budget(home, [7, 8], root=root) == int(0.8 * 1500 * 1024)
    assert memory.resident(7, root) == 700 * 1024


def test_the_least_limit_on_the_way_up_holds(tmp_path: Path) -> None:
    root = machine(tmp_path, cgroup="0::/a/b\n")
    top = root / "sys/fs/cgroup"
    group(top / "a", memory__max=1_000_000, memory__current=400_000, memory__stat="anon 1\ninactive_file 100000")
    group(top / "a/b", memory__max="max", memory__current=5)
    assert memory.available(root) == 700_000


def test_a_container_sees_its_group_as_the_top(tmp_path: Path) -> None:
    root = machine(tmp_path, cgroup="0::/docker/0123\n")
    group(root / "sys/fs/cgroup", memory__max=5000, memory__current=1000)
    assert memory.available(root) == 4000


def test_version_one_counts_too(tmp_path: Path) -> None:
    root = machine(tmp_path, cgroup="4:cpu,memory:/box\n1:name=systemd:/\n")
    files = {"memory__limit_in_bytes": 9000, "memory__usage_in_bytes": 4000, "memory__stat": "total_inactive_file 500"}
    group(root / "sys/fs/cgroup/memory/box", **files)
    assert memory.available(root) == 5500


def test_the_setting_wins_and_a_broken_file_is_no_setting(home: Home, tmp_path: Path) -> None:
    home.config.write_text("[engine]\nmemory = 2000\n")
    assert memory.budget(home, [], root=tmp_path) == 2_000_000_000
    for text in ("[engine]\nmemory = 'much'\n", "engine = 1 # memory\n", "memory [[[", "[engine]\nmemory = true\n"):
        home.config.write_text(text)
        assert memory.setting(home) == 0, text


def test_a_system_that_tells_nothing_gets_a_careful_guess(home: Home, tmp_path: Path) -> None:
    assert memory.budget(home, [], root=tmp_path / "nothing") == memory.UNKNOWN
