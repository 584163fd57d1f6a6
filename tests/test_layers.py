"""The walls of the house: what may be imported by whom, on paper (import-linter) and in fact (fresh interpreters)."""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OMNI = ROOT / "omni"
ROOMS = sorted(folder.name for folder in OMNI.iterdir() if (folder / "__init__.py").is_file())
FRONT_ENDS = {"cli", "shell", "server"}
DOMAINS = [room for room in ROOMS if room not in FRONT_ENDS | {"core"}]
FRONT_END_LIBRARIES = {"textual", "rich", "click", "uvicorn", "starlette"}
HEAVY = {
    "xllamacpp",
    "numpy",
    "sqlcipher3",
    "tomlkit",
    "ruamel",
    "psutil",
    "pynvml",
    "h11",
    "uvicorn",
    "starlette",
    "cryptography",
}
# What starts in milliseconds, or before there is an environment.
STANDARD_LIBRARY_ONLY = [
    "omni",
    "omni.__main__",
    "omni.core.paths",
    "omni.core.errors",
    "omni.core.features",
    "omni.core.files",
    "omni.core.lazy",
    "omni.core.locks",
    "omni.core.record",
    "omni.core.words",
    "omni.core.clock",
    "omni.core.confinement",
    "omni.core.located.json_reader",
    "omni.core.located.toml_reader",
    "omni.core.located.yaml_reader",
    "omni.keeper.process",
    "omni.keeper.adopt",
    "omni.helpers.process",
    "omni.helpers.channel",
    "omni.core.process_kinds",
    "omni.keeper.starter",
    "omni.runtimes.child",
    "omni.airlock.process",
    "omni.airlock.fetch",
    "omni.environment",
]


def modules_of(package: str) -> list[str]:
    """Every module below `omni.PACKAGE`, itself included."""
    folder = OMNI / package
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.rglob("*.py")
        if "__main__" not in path.parts
    )


def loaded_by(*modules: str, isolated: bool = False) -> set[str]:
    """What a fresh interpreter has loaded after importing these."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nbefore = set(sys.modules)\nimport importlib\n"
    code += "".join(f"importlib.import_module({module!r})\n" for module in modules)
    code += "print(*(set(sys.modules) - before))"
    flags = ["-I", "-S"] if isolated else ["-I"]
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def tops(names: set[str]) -> set[str]:
    """The top-level packages among module names."""
    return {name.partition(".")[0] for name in names}


# --- on paper


def test_the_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_room_was_forgotten_in_the_contracts() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    floors = next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    named = {part.strip() for floor in floors for part in floor.replace(":", "|").split("|")}
    assert named == {f"omni.{room}" for room in ROOMS} | {"omni.app", "omni.builtin", "omni.diagnostics"}
    pure = next(contract for contract in contracts if contract["name"].startswith("Domains know no front end"))
    assert set(pure["source_modules"]) == {f"omni.{room}" for room in [*DOMAINS, "core"]}


def imports_of(path: Path) -> Iterator[tuple[str, list[str], int]]:
    """Every import anywhere in a file: module, names, line; those for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, [], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.module or "", [alias.name for alias in node.names], node.lineno


@pytest.mark.parametrize("room", DOMAINS)
def test_a_domain_is_entered_by_its_front_door(room: str) -> None:
    """Whoever wants something of another domain asks its package for a public name."""
    through = []
    for path in (OMNI / room).rglob("*.py"):
        for module, names, line in imports_of(path):
            parts = module.split(".")
            if parts[0] != "omni" or len(parts) < 2 or parts[1] in (room, "core", "app"):
                continue
            public = _public(parts[1])
            if len(parts) > 2 or not set(names) <= public:
                through.append(f"{path.relative_to(ROOT)}:{line} {module} {names}")
    allowed = SIDE_DOORS.get(room, set())
    assert [entry for entry in through if entry.split()[1] not in allowed] == []


# Room -> modules of other rooms that it imports as modules, each for a reason.
SIDE_DOORS = {
    "engine": {"omni.keeper"},  # `omni.keeper.adopt` is the worker's side of the keeper, standard library only
    # The same for the process of a plug-in, whose line is written as the keeper's.
    "helpers": {"omni.keeper", "omni.keeper.places", "omni.keeper.wire"},
    "hands": {"omni.keeper", "omni.keeper.places"},  # and for the process that starts sandboxed commands
}


def _public(room: str) -> set[str]:
    tree = ast.parse((OMNI / room / "__init__.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return {
                alias.asname or alias.name
                for line in node.body
                if isinstance(line, ast.ImportFrom)
                for alias in line.names
            }
    return set()


def test_what_begins_with_an_underscore_is_imported_by_its_own_room_only() -> None:
    """By another room as little as by a test: those talk to a room through its names."""
    folders = [path for root in ("omni", "tests", "benchmarks") for path in (ROOT / root).rglob("*.py")]
    strangers = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {module}"
        for path in folders
        if "node_modules" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in _imported(node)
        if (inside := re.match(r"omni\.(.+?)\._[a-z]", module)) is not None
        and not path.is_relative_to(OMNI / inside[1].replace(".", "/"))
    ]
    assert strangers == []
    assert any(path.name.startswith("_") and path.name != "__init__.py" for path in OMNI.rglob("*.py"))


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Modules that a line may import: of `from a import b` also `a.b`, which may be one."""
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    module = node.module or ""
    return [
        module,
        *(f"{module}.{each.name}" for each in node.names if (OMNI.parent / module.replace(".", "/")).is_dir()),
    ]


@cache
def trees() -> dict[str, ast.Module]:
    """Every file, parsed."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in sorted(OMNI.rglob("*.py"))}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node of every file, with its place."""
    for name, tree in trees().items():
        for node in ast.walk(tree):
            yield f"{name}:{getattr(node, 'lineno', 0)}", node


# Whole files that spell a path in the home: they know it as a list of what is in it.
SPELLERS = ("omni/core/paths.py", "omni/environment/kept.py")


def test_only_one_module_spells_where_things_live() -> None:
    spelled = [
        place
        for place, node in nodes()
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and ast.unparse(node.left).endswith(("home.root", "self.root"))
        and not place.startswith(SPELLERS)
    ]
    assert spelled == []


# Who writes or moves a file without the one store, each for a reason.
WRITERS = {
    "omni/core/files.py": "it is the store",
    "omni/core/locks.py": "makes the files that it locks",
    "omni/core/database.py": "a copy that SQLite wrote",
    "omni/core/record.py": "only adds to what is there",
    "omni/airlock/fetch.py": "goes on with a part of a download, which is its lock, too",
    "omni/cartridges/pulling.py": "joins parts in place, and moves what is verified to its name",
    "omni/cartridges/exports.py": "moves folders that are verified to their names",
    "omni/engine/_prefixes.py": "gives what an engine has written its name",
    "omni/environment/users.py": "moves environments aside",
    "omni/environment/plugin_sets.py": "moves a set of plug-ins and the link to it to their names",
    "omni/environment/features.py": "moves packages that are whole to their name",
    "omni/environment/export.py": "moves a folder that is copied to its name",
    "omni/environment/installer.py": "the log of pip's output",
    "omni/environment/command.py": "moves a link to its name",
    "omni/engine/server.py": "moves a socket out of the folder that a stranger's program may write to",
    "omni/runtimes/quantising.py": "moves what a tool wrote whole to its name",
    "omni/runtimes/registry.py": "moves folders of engines to their names",
    "omni/runtimes/wheels.py": "unpacks what it has checked",
    "omni/keeper/background.py": "a process's own log",
    "omni/bench/llama_server.py": "the log of another's program, for as long as it runs",
    "omni/runtimes/confined.py": "a tool's own log",
    "omni/hands/inside.py": "tells the kernel who it is, by /proc",
    "omni/hands/walls.py": "tells the kernel how many processes there may be, by /proc",
    "omni/agents/attempts.py": "a copy of a project, which goes with the work",
    "omni/hands/changes.py": "files of projects, by descriptors of their folders",
    "omni/hands/tries.py": "tries to make a file where none may be made",
    "omni/cli/reference.py": "writes this project's papers, not a home",
}


def writes(node: ast.AST) -> bool:
    """Whether a call makes, changes or renames a file."""
    if not isinstance(node, ast.Call):
        return False
    name, arguments = ast.unparse(node.func), [ast.unparse(each) for each in node.args]
    last = name.rpartition(".")[2]
    if last in ("write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "rename", "copyfile", "copy2", "link_to"):
        return "." in name and name not in ("self._chat.rename", "chat.rename")
    if last == "replace":  # of a path: a text's has two arguments, a struct's names its fields
        return len(node.args) == 1 and not node.keywords and not isinstance(node.func, ast.Name)
    if name == "os.open":
        return "O_CREAT" in ast.unparse(node)
    if last == "open":
        words = [
            each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        return any(word in ("w", "wb", "a", "ab", "x", "xb", "r+b", "r+") for word in words) and "devnull" not in str(
            arguments
        )
    return False


def test_only_the_one_store_writes_files() -> None:
    assert {place.partition(":")[0] for place, node in nodes() if writes(node)} == WRITERS.keys()


def test_only_one_module_opens_databases() -> None:
    imports = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        and any(each.name.partition(".")[0] in ("sqlcipher3", "sqlite3") for each in node.names)
    }
    assert imports == {"omni/core/database.py"}


# Who makes a service without the composition root, each for a reason.
MAKERS = {
    "omni/cli/plugins.py": {"Plugins"},  # whose commands are found before any service is
    "omni/core/plugin_check.py": {"Plugins"},  # a process of its own, in which nothing else is
    "omni/cli/names.py": {"Library"},  # a Tab key waits for it, and needs nothing else
}


def test_only_the_composition_root_puts_services_together() -> None:
    services = {
        "AirlockClient",
        "ChatService",
        "ChatStore",
        "Engines",
        "Environment",
        "KeeperClient.connect",
        "Library",
        "Plugins",
    }
    made: dict[str, set[str]] = {}
    for place, node in nodes():
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in services:
            made.setdefault(place.partition(":")[0], set()).add(name)
    assert made.pop("omni/app.py") == services
    assert made == MAKERS


def test_nothing_is_global_and_nothing_is_done_at_import() -> None:
    assert [place for place, node in nodes() if isinstance(node, ast.Global)] == []
    quiet = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign)
    done = [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in tree.body
        if not isinstance(node, quiet)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))  # a docstring
        and not (isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"))
    ]
    assert done == []


# --- in fact


@pytest.mark.parametrize("room", ROOMS)
def test_every_import_leads_somewhere(room: str) -> None:
    """Those inside functions, too, which would otherwise fail on the one day that they are needed."""
    lost = [
        f"{path.relative_to(ROOT)}:{line} {module}.{name}"
        for path in (OMNI / room).rglob("*.py")
        for module, names, line in imports_of(path)
        if module.split(".")[0] == "omni"
        for name in names or [""]
        if not _is_there(module, name)
    ]
    assert lost == []


def _is_there(module: str, name: str) -> bool:
    imported = importlib.import_module(module)
    if not name or hasattr(imported, name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in STANDARD_LIBRARY_ONLY
        if (OMNI / "/".join(name.split(".")[1:])).exists() or (ROOT / f"{name.replace('.', '/')}.py").exists()
    ],
)
def test_it_needs_the_standard_library_only(module: str) -> None:
    loaded = loaded_by(module, isolated=True)
    assert tops(loaded) - set(sys.stdlib_module_names) <= {"omni"}


def test_the_keeper_has_no_event_loop_and_no_other_room() -> None:
    loaded = loaded_by("omni.keeper.process", isolated=True)
    assert not {"asyncio", "threading", "subprocess", "logging", "ctypes.util"} & loaded
    assert {name.split(".")[1] for name in loaded if name.count(".") and name.startswith("omni.")} <= {"core", "keeper"}


def test_the_airlock_has_no_other_room() -> None:
    loaded = loaded_by("omni.airlock.process", isolated=True)
    assert {name.split(".")[1] for name in loaded if name.startswith("omni.")} <= {"core", "keeper", "airlock"}


@pytest.mark.parametrize("room", DOMAINS)
def test_importing_a_domain_imports_none_of_its_modules(room: str) -> None:
    loaded = loaded_by(f"omni.{room}")
    ours = {name for name in loaded if name.startswith("omni")}
    assert ours - {"omni.core", "omni.core.lazy"} == {"omni", f"omni.{room}"}
    assert tops(loaded) - set(sys.stdlib_module_names) == {"omni"}


@pytest.mark.parametrize("room", [*DOMAINS, "core"])
def test_no_module_of_a_domain_loads_a_front_end(room: str) -> None:
    loaded = loaded_by(*modules_of(room))
    assert not FRONT_END_LIBRARIES & tops(loaded)
    assert not {f"omni.{front_end}" for front_end in FRONT_ENDS} & loaded
    assert "xllamacpp" not in loaded  # a worker loads it when it has a spec


@pytest.mark.parametrize("module", [name for name in modules_of("core") if name != "omni.core.database"])
def test_core_loads_msgspec_and_pluggy_at_most(module: str) -> None:
    assert tops(loaded_by(module)) - set(sys.stdlib_module_names) <= {"omni", "msgspec", "pluggy", "typing_extensions"}


def types(names: list[str]) -> bool:
    """Whether only types were taken, which annotations need."""
    return bool(names) and set(names) <= {"Connection", "Row"}


def test_only_the_database_module_loads_sqlite() -> None:
    users = [
        str(path.relative_to(ROOT))
        for path in OMNI.rglob("*.py")
        if any(
            module.split(".")[0] in ("sqlcipher3", "sqlite3")
            for module, names, _ in imports_of(path)
            if not types(names)
        )
    ]
    assert users == ["omni/core/database.py"]


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in ("omni.app", "omni.chat.service", "omni.engine.types", "omni.cli.main")
        if (ROOT / f"{name.replace('.', '/')}.py").exists()
    ],
)
def test_what_a_first_frame_imports_is_light(module: str) -> None:
    assert not HEAVY & tops(loaded_by(module))


def test_a_conversation_needs_nothing_that_draws() -> None:
    loaded = tops(loaded_by(*modules_of("shell/conversation")))
    assert not loaded & ((FRONT_END_LIBRARIES | HEAVY) - {"msgspec"})


def test_the_command_line_imports_no_domain_for_its_help() -> None:
    loaded = loaded_by("omni.cli.main")
    assert {name.split(".")[1] for name in loaded if name.startswith("omni.")} <= {"core", "cli"}
    assert "msgspec" not in loaded


def test_chat_reaches_the_engine_by_its_types_alone() -> None:
    """The runner is imported with the shell's first frame: no worker, keeper or hardware comes with it."""
    loaded = loaded_by("omni.chat.service")
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("omni.") and name.count(".") > 1}
    assert rooms <= {"omni.core", "omni.chat", "omni.engine"}
    assert "omni.core.database" not in loaded
