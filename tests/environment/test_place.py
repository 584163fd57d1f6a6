import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core import paths
from omni.core.paths import Home
from omni.environment import place

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["", "~/elsewhere", "relative/../x", "/a//b/", "/ü b"])
def test_it_agrees_with_the_module_that_knows_where_things_live(name: str) -> None:
    variables = {"OMNI_HOME": name}
    home = Home.from_environment(variables)
    assert place.home_folder(variables) == str(home.root)
    lock = REPOSITORY / "requirements" / "core.txt"
    assert Path(place.environment_folder(str(home.root), str(lock))).parent == home.venvs
    assert place.source_root() == str(paths.source_root())
    assert place.python_tag() == paths.python_tag()


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"lock")
    assert place.file_hash(str(tmp_path / "x")) == hashlib.sha256(b"lock").hexdigest()


def test_a_second_start_imports_next_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import os;"
        "from omni.environment.start import start; from omni.environment import place;"
        "place.environment_folder('/x', place.lock_file(place.source_root(), 'core')); print(*set(sys.modules) - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    own = {
        "omni",
        "omni.core",
        "omni.core.lazy",
        "omni.environment",
        "omni.environment.start",
        "omni.environment.place",
    }
    assert own <= loaded
    small = {"os", "stat", "_stat", "posixpath", "genericpath", "os.path", "_collections_abc", "abc", "_abc"}
    assert loaded - own - small <= {"_sha256", "_sha2", "collections", "collections.abc"} - {
        "collections",
        "collections.abc",
    }
