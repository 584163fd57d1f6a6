"""Writes the clients' lock files anew from the install lines of docs/clients.md: `make lock-clients`.

Needs uv and npm on the PATH. The locks name hashes and no registry's address.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.page import Client, clients

_COMPILE = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-emit-index-url", "--no-header",
            "--no-annotate", "--python-version", "3.11", "-"]  # fmt: skip
_ADDRESSES = ("resolved", "funding")


def main(names: list[str]) -> None:
    """Lock the named clients, or all."""
    for name in names or clients():
        client = clients()[name]
        packages = shlex.split(client.install)[2:]
        client.lock.parent.mkdir(parents=True, exist_ok=True)
        (_lock_node if client.is_node else _lock_python)(client, packages)


def _lock_python(client: Client, packages: list[str]) -> None:
    subprocess.run([*_COMPILE, "-o", str(client.lock)], input="\n".join(packages), text=True, check=True)


def _lock_node(client: Client, packages: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
        flags = ("--package-lock-only", "--save-exact", "--ignore-scripts", "--no-audit", "--no-fund")
        subprocess.run(["npm", "install", *flags, *packages], cwd=folder, check=True, stdout=sys.stderr)
        for name in ("package.json", "package-lock.json"):
            manifest = json.loads((Path(folder) / name).read_text("utf-8"))
            manifest["name"] = f"omni-client-{client.name}"
            for each in manifest.get("packages", {}).values():
                for address in _ADDRESSES:
                    each.pop(address, None)
            (client.lock.parent / name).write_text(json.dumps(manifest, indent=2) + os.linesep, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
