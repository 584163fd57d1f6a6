"""What the user decided, from `config.toml`: typed, described, unknown keys refused with the nearest name."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from omni.core.errors import UsageError, nearest
from omni.core.files import write_atomic
from omni.core.located.conversion import convert
from omni.core.located.toml_reader import read_toml
from omni.core.located.tree import FileSource, Located
from omni.core.paths import Home

S = TypeVar("S", bound=Struct)

RENAMED = {"chat.answer_tokens": "chat.max_completion_tokens"}  # settings by their earlier names


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class UiSettings(Section, frozen=True):
    """How the shell looks and listens."""

    theme: Annotated[str, Meta(description="Theme; one of the files in `themes/`.")] = "omni-dark"
    glyphs: Annotated[
        Literal["auto", "unicode", "ascii"], Meta(description="Which characters are drawn; auto looks at the locale.")
    ] = "auto"
    mouse: Annotated[bool, Meta(description="Whether the shell takes mouse events.")] = True
    keys: Annotated[dict[str, str], Meta(description="Remapped bindings: binding id = key.")] = {}
    ready: Annotated[bool, Meta(description="Whether the first-run wizard was finished.")] = False


class ChatSettings(Section, frozen=True):
    """How conversations begin."""

    brain: Annotated[str, Meta(description="The brain that new conversations use; empty: the best one installed.")] = ""
    system: Annotated[str, Meta(description="System text added after the brain's own.")] = ""
    agents_md: Annotated[bool, Meta(description="Whether the project's AGENTS.md is read.")] = True
    max_completion_tokens: Annotated[int, Meta(ge=16, description="The longest answer, in tokens.")] = 2048


class EngineSettings(Section, frozen=True):
    """How brains are run."""

    use: Annotated[
        str, Meta(description="Engine that runs brains: auto, or one that `omni engine ls` lists; auto measures.")
    ] = "auto"
    gpu: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether an added engine computes on graphics processors: auto where it measured better, on even on "
            "one that is only software."
        ),
    ] = "auto"
    context: Annotated[
        int, Meta(ge=256, description="Context to allocate, in tokens, where brain and memory allow it.")
    ] = 16384
    slots: Annotated[int, Meta(ge=1, le=64, description="How many answers one worker writes at a time.")] = 4
    threads: Annotated[int, Meta(ge=0, description="Threads of a worker; 0: as many as cores.")] = 0
    keep_alive: Annotated[int, Meta(ge=0, description="Seconds a worker stays loaded when nobody uses it.")] = 300
    speculation: Annotated[
        bool,
        Meta(
            description="Whether what was said before is used to guess what comes next; answers differ by rounding only."
        ),
    ] = True
    draft: Annotated[
        str,
        Meta(
            min_length=1,
            description="What drafts for brains: auto (what `omni engine tune` measured to be faster), the name of a smaller one with "
            "the same tokens, mtp (layers of their own), or off.",
        ),
    ] = "auto"
    batch: Annotated[
        int,
        Meta(
            ge=0,
            le=2048,
            description="Tokens of a prompt that are computed together; 0: what `omni engine tune` found fastest.",
        ),
    ] = 0
    cache: Annotated[
        Literal["f16", "q8_0"],
        Meta(description="How exactly a conversation is kept in memory; q8_0 takes half of it and reads more slowly."),
    ] = "f16"
    prefixes: Annotated[
        bool, Meta(description="Whether what a brain's own prompt becomes is kept on disk, to be read once only.")
    ] = True
    trim: Annotated[
        bool,
        Meta(description="Whether workers give memory back that they do not need, and take it again when they do."),
    ] = True
    memory: Annotated[int, Meta(ge=0, description="Memory for brains in MB; 0: what the machine can spare.")] = 0
    ceiling: Annotated[
        int,
        Meta(
            ge=0, le=1 << 30, description="The most memory in MB that one worker may take for itself; 0: by its brain."
        ),
    ] = 0


class BrainsSettings(Section, frozen=True):
    """Where brains are looked for."""

    folders: Annotated[list[str], Meta(description="Folders with GGUF files of your own.")] = []
    look_around: Annotated[bool, Meta(description="Whether the stores of Ollama, LM Studio and others are listed.")] = (
        True
    )


class ServeSettings(Section, frozen=True):
    """How other programs and browsers reach the brains."""

    host: Annotated[str, Meta(description="Address to listen on; any but this machine's own needs a key and TLS.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port of `omni serve`.")] = 11434
    web_port: Annotated[int, Meta(ge=0, le=65535, description="Port of `omni web`.")] = 8080
    names: Annotated[
        list[str], Meta(description="Host names under which this machine is reached, besides localhost.")
    ] = []
    aliases: Annotated[dict[str, str], Meta(description='Names that programs ask for: "gpt-4o" = "@omni/coder".')] = {}
    queue: Annotated[int, Meta(ge=0, description="Requests that may wait for a brain before one is turned away.")] = 128


class Settings(Section, frozen=True):
    """All of `config.toml`."""

    ui: UiSettings = UiSettings()
    chat: ChatSettings = ChatSettings()
    engine: EngineSettings = EngineSettings()
    brains: BrainsSettings = BrainsSettings()
    serve: ServeSettings = ServeSettings()
    plugins: dict[str, dict[str, Any]] = {}  # what each takes it says itself: see `of`

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read the file; a missing one means the defaults. Raises UsageError with file, line and the nearest name."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error}.", hint="Run `omni config path`.") from error
        return parse(data, str(path))

    def of(self, plugin: str, section: type[S]) -> S:
        """The table `[plugins.PLUGIN]` as the plug-in describes it. Raises UsageError that names what does not fit."""
        located = Located(FileSource("the settings"), self.plugins.get(plugin, {}))
        return convert(located, section, within=("plugins", plugin))


def plugin_settings(plugin: str, section: type[S]) -> S:
    """What config.toml of this home says to a plug-in. Raises UsageError. Reads the file: call it off the event loop."""
    return Settings.load(Home.from_environment().config).of(plugin, section)


def parse(data: str | bytes, name: str = "config.toml") -> Settings:
    """Settings from TOML; `name` stands in the messages. Raises UsageError with line, column and the nearest name."""
    located = read_toml(
        data,
        FileSource(name, hint="The file is TOML, `key = value` below `[section]`; `omni config show` says what fits."),
    )
    for old, new in RENAMED.items():  # a setting keeps what an earlier Omni wrote under another name
        located.rename_key(old.split("."), new.rpartition(".")[2])
    return convert(located, Settings)


def described(sections: Mapping[str, type[Struct]] = MappingProxyType({})) -> dict[str, tuple[Any, Any, str]]:
    """Every setting as `section.key` -> (type, default, description), for the manual, the screen and completion; after
    Omni's own those of the `sections` of plug-ins, as `plugins.PLUGIN.key`."""
    own = {section: group for section, group in get_type_hints(Settings).items() if section != "plugins"}
    settings = {}
    for section, group in (own | {f"plugins.{plugin}": group for plugin, group in sections.items()}).items():
        hints = get_type_hints(group, include_extras=True)
        for field in msgspec.structs.fields(group):
            kind, meta = (
                get_args(hints[field.name])[:2] if get_origin(hints[field.name]) is Annotated else (field.type, None)
            )
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            settings[f"{section}.{field.name}"] = (kind, default, meta.description if meta else "")
    return settings


def section_problem(section: Any) -> str:
    """Why what a plug-in offers for its settings is none, or ""."""
    if not (isinstance(section, type) and issubclass(section, Section)):
        return "the settings of a plug-in are a subclass of omni.core.settings.Section"
    for field in msgspec.structs.fields(section):
        if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
            return f"{section.__name__}.{field.name} has no default, which every setting needs"
    try:
        msgspec.convert(msgspec.to_builtins(section()), section)
    except (TypeError, ValueError, msgspec.ValidationError) as error:
        return f"the defaults of {section.__name__} do not fit: {error}"
    return ""


def value_of(settings: Settings, key: str, sections: Mapping[str, type[Struct]] = MappingProxyType({})) -> Any:
    """The value of a described key."""
    section, _, field = key.rpartition(".")
    plugin = section.removeprefix("plugins.")
    return getattr(getattr(settings, section) if plugin == section else settings.of(plugin, sections[plugin]), field)


def change(path: Path, key: str, value: Any, sections: Mapping[str, type[Struct]] = MappingProxyType({})) -> Settings:
    """Set `section.key` in the file, keeping its comments and order, and return what now holds.

    `value` may be text as typed on a command line. Raises UsageError when the key is unknown or the value does not fit;
    the file is then as it was.
    """
    import tomlkit  # needed only here, and slow to import

    known, key = described(sections), RENAMED.get(key, key)
    if key not in known:
        raise UsageError(f"There is no setting {key!r}.", hint=nearest(key, known) or "Run `omni config show`.")
    Settings.load(path)  # a file that is already wrong is not made longer
    if isinstance(value, str) and known[key][0] is not str:
        value = _typed(value, known[key][0], key)
    section, _, field = key.rpartition(".")
    plugin = section.removeprefix("plugins.")
    document = tomlkit.parse(path.read_text("utf-8") if path.exists() else "")
    table: Any = document
    for name in (section,) if plugin == section else ("plugins", plugin):
        table = table.setdefault(name, tomlkit.table(is_super_table=name == "plugins"))
    table[field] = value
    for old, new in RENAMED.items():
        if new == key:
            table.pop(old.partition(".")[2], None)
    text = tomlkit.dumps(document)
    settings = parse(text, str(path))
    value_of(settings, key, sections)  # which says what a plug-in does not take
    write_atomic(path, text)
    return settings


def overridden(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The same with some of them by `section.key`, which no file says. Raises UsageError for one that is unknown or does not fit."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key not in described():
            raise UsageError(
                f"There is no setting {key!r}.", hint=nearest(key, described()) or "Run `omni config show`."
            )
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    changed = {
        section: convert(
            Located(FileSource("the settings"), msgspec.to_builtins(getattr(settings, section)) | table),
            type(getattr(settings, section)),
        )
        for section, table in tables.items()
    }
    return msgspec.structs.replace(settings, **changed)


def _typed(value: str, kind: Any, key: str) -> Any:
    if get_origin(kind) is Literal:
        return value
    if kind is bool and value.lower() in ("on", "yes", "off", "no"):
        return value.lower() in ("on", "yes")
    try:
        table = tomllib.loads(f"x = {value}")
        if len(table) > 1:
            raise ValueError("more than one value")
        return table["x"]
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{key} does not take {value!r}.", hint="Lists and numbers are written as in TOML.") from error
