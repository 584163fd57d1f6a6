"""llama.cpp's server inside a worker: its parameters from a spec, and what its log says when it cannot load a base.

Only the worker's process uses this module: importing xllamacpp maps 100 MB of native code.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.errors import BadFile, EngineError, OmniError
from omni.engine.refusals import NO_MEMORY

# How a file that is refused is known in the log, which is all that a keeper passes on; and an engine that did not load one and
# does not say that it is the file's fault.
CANNOT_LOAD, DID_NOT_LOAD = "This engine cannot load", "This engine did not load"
BATCH = 128
SPEAKERS = 8  # threads that speak HTTP beside one a slot: some count, and look at the slots
CHECKPOINTS = 4  # of a chat whose past cannot be taken back; llama.cpp would keep 32, of up to 100 MB, in each slot
# How many of the last tokens must stand earlier in a conversation, and how many of those that followed there are guessed at most: all
# at once, since a batch has a price of its own. Where they stand with several ends nothing is guessed, unless one end prevails; after
# a guess that was partly wrong the next one at this place is as long as what was right (llama.cpp's `ngram-map-k4v`).
KNOWN, GUESSED = 6, 64
LEAST_GUESSED = 16  # however many slots share a batch
DRAFTED = (
    5,
    0.6,
)  # the most tokens that another brain, or a layer of its own, drafts at a time, and how sure it must be of each
GUESSES = ("speculation", "draft", "draft_base", "mtp")  # settings of a worker that guesses
_NO_PARSER = "Unable to generate parser for this template. Automatic parser generation failed:"
_TEMPLATE = re.compile(
    r"^\S+ E [^\n]*(?:common_chat_templates_init: error|chat template parsing error): (.*?)(?=^\d\S+ [A-Z] |\Z)",
    re.MULTILINE | re.DOTALL,
)
_NO_DEVICE_MEMORY = re.compile(
    r"OutOfDeviceMemory|Device memory allocation of size|cudaMalloc failed: out of memory"
    r"|(?:failed|unable) to allocate (?:Vulkan|CUDA|ROCm|HIP|SYCL|MTL|Metal)\w* buffer"
)
_OF_THE_FILE = re.compile(r"error loading model: |failed to (?:apply|load) lora adapter")
_OF_A_DEVICE = re.compile(
    r"\b(?:vk::|cuda|rocm|hip|sycl|metal|vulkan|opencl|backend|buffer|device|driver)", re.IGNORECASE
)
_EXPERTS = r"blk\.{}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
_MOST_DEVICES = 128  # that llama.cpp's list has room for
_ENDED = re.compile(r"could not be loaded: it (?:was ended by SIG(?!TERM)|ended)")
QUIET = 2  # warnings and errors: the log neither grows with every request nor tells who asked what


def start(path: str, socket: str, key: str, settings: dict[str, Any], *, log: Path, offset: int = 0) -> Any:
    """Load the GGUF at `path` and serve it on `socket`; returns the server, which lives as long as it is referenced.

    Holds the GIL until the base is loaded. Raises BadFile with llama.cpp's own reason from `log` (what was written to
    it after `offset`), LoadFailed when it reached the worker's ceiling. A brain that should draft, and a projector, are left out
    where they cannot be loaded, so that the brain answers to texts at least.
    """
    from xllamacpp import Server

    Path(socket).unlink(missing_ok=True)
    try:
        return Server(parameters(path, socket, key, settings))
    except RuntimeError as error:
        if (less := without(path, settings)) is None:
            raise fault(path, told_of(log, offset), str(error)) from error
        server = start(path, socket, key, less.settings, log=log, offset=length(log))
        sys.stderr.write(f"{less.words}\n")
        sys.stderr.flush()
        return server


class Less(NamedTuple):
    """The settings of a worker that does without something, and what to say of that."""

    settings: dict[str, Any]
    words: str


def without(path: str, settings: Mapping[str, Any]) -> Less | None:
    """What to try where a worker could not load all that its settings name: first without what drafts for its brain, then without
    the projector that it sees with. None where only the brain is left."""
    if drafter := settings.get("draft") or (settings.get("mtp") and path):
        alone = {name: value for name, value in settings.items() if name not in ("draft", "mtp")}
        return Less(alone, f"Without drafts: what drafts in {Path(str(drafter)).name} could not be loaded.")
    if projector := settings.get("projector"):
        blind = {name: value for name, value in settings.items() if name != "projector"}
        return Less(blind, f"Without eyes: {Path(str(projector)).name} could not be loaded with this brain.")
    return None


def fault(path: str, told: str, otherwise: str) -> OmniError:
    """What the log of a worker, `told`, says of a file that could not be loaded; `otherwise`: what to say where it is silent."""
    if device_ran_out(told):
        return no_device_room()
    if ran_out(f"{otherwise}\n{told}"):
        return no_room()
    if template := template_fault(told):
        return BadFile(
            f"{CANNOT_LOAD} {Path(path).name}: its chat template cannot be used: {template}.",
            hint="The template is wrong, not the request: look for a newer file of this brain, or one by somebody else.",
        )
    reason = reason_of(told)
    blamed = _OF_THE_FILE.search(told) and not _OF_A_DEVICE.search(reason)
    return BadFile(
        f"{CANNOT_LOAD if blamed else DID_NOT_LOAD} {Path(path).name}: {reason or otherwise}.",
        hint="Verify the file, or try another quantisation of this brain.",
    )


def parameters(path: str, socket: str, key: str, settings: dict[str, Any]) -> Any:
    """llama.cpp's parameters for a worker.

    One cache of `cells` is shared by all slots. Batches are small, because a cancelled turn computes to the end of one.
    The prompt cache in RAM is off: it compares tokens only and would give one adapter what another computed.
    """
    from xllamacpp import CommonParams, xllamacpp

    wanted = CommonParams()
    wanted.verbosity = QUIET
    wanted.model.path = path
    wanted.hostnames = [socket]
    wanted.api_keys = [key]
    wanted.n_parallel = slots = int(settings.get("slots", 1))
    wanted.n_threads_http = slots + SPEAKERS  # one thread a stream
    wanted.kv_unified = True
    wanted.n_ctx = int(settings.get("cells") or settings.get("context") or 4096)
    wanted.n_batch, wanted.n_ubatch = batches(settings)
    wanted.cache_ram_mib = 0
    wanted.cache_idle_slots = False
    wanted.n_ctx_checkpoints = CHECKPOINTS
    wanted.slot_prompt_similarity = 0.5  # else a new chat that shares a system text takes the place of an old one
    modes = xllamacpp.llama_load_mode
    if settings.get("mapped", 1):
        wanted.load_mode = modes.LLAMA_LOAD_MODE_MMAP  # the page cache survives the worker
    else:
        wanted.load_mode = modes.LLAMA_LOAD_MODE_NONE
    wanted.fit_params = False  # the budget has decided already; asking again loads twice
    wanted.warmup = False  # an empty run costs more than it saves on the first prompt
    wanted.ui = False
    wanted.endpoint_slots = True
    wanted.endpoint_metrics = True
    wanted.use_jinja = True
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads = int(settings.get("threads", 0)) or -1
    if threads > 0:
        wanted.cpuparams.poll = 0
    if cache := str(settings.get("cache", "")):
        wanted.cache_type_k = wanted.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{cache.upper()}")
    guessing = []
    if settings.get("speculation"):
        guessing.append(xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MAP_K4V)
        ngrams = wanted.speculative.ngram_map_k4v
        ngrams.size_n, ngrams.size_m = KNOWN, looked_up(settings)
    draft = str(settings.get("draft", ""))
    if settings.get("mtp"):
        guessing.append(xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_MTP)
    elif draft:
        guessing.append(xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE)
    if settings.get("mtp") or draft:
        drafting = wanted.speculative.draft
        drafting.mparams.path = draft
        drafting.n_max, drafting.p_min = DRAFTED
        drafting.n_gpu_layers = 0
        drafting.cpuparams.n_threads = drafting.cpuparams_batch.n_threads = threads
        if threads > 0:
            drafting.cpuparams.poll = 0
    if guessing:
        wanted.speculative.types = guessing
    if folder := str(settings.get("prefixes", "")):
        wanted.slot_save_path = f"{folder}/"  # llama.cpp puts the name right behind it
    if template := str(settings.get("chat_template", "")):
        wanted.chat_template = template
        wanted.use_jinja = "{" in template  # else it is the name of one that llama.cpp knows
    if settings.get("embeddings"):
        wanted.embedding = True
        if pooling := str(settings.get("pooling", "")):  # else what the file says, which chat models do not
            wanted.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
    if projector := str(settings.get("projector", "")):
        wanted.mmproj.path = projector
        wanted.mmproj_use_gpu = False
    if "gpu_layers" in settings:
        wanted.n_gpu_layers = layers = int(settings["gpu_layers"])
        wanted.no_op_offload = wanted.no_kv_offload = not layers  # else it computes large batches there all the same
        devices = xllamacpp.get_device_info() if layers else []
        counts = own_split(
            settings, [(str(one["name"]), one["type"].name, str(one.get("device_id") or "")) for one in devices]
        )
        wanted.tensor_split = [*counts, *([0.0] * (_MOST_DEVICES - len(counts)))]
        if experts := int(settings.get("cpu_experts", 0)):
            wanted.tensor_buft_overrides = ",".join(_EXPERTS.format(layer) for layer in range(experts))
    adapters: list[str] = json.loads(str(settings.get("adapters", "[]")))
    if adapters:
        wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, 0.0) for adapter in adapters]
    return wanted


def batches(settings: Mapping[str, Any]) -> tuple[int, int]:
    """How many tokens come together at most, and how many of them are computed at a time. Where the guesses of all slots do not
    fit into one batch llama.cpp ends its process."""
    computed = int(settings.get("batch", BATCH))
    return max(computed, int(settings.get("slots", 1)) * (1 + guessed(settings))), computed


def looked_up(settings: Mapping[str, Any]) -> int:
    """How many tokens of one chat are guessed at a time from what was said: as many as leave the batch as it is. In a larger one more
    of a prompt would be read before anybody else gets a token, or a cancelled answer ends."""
    share = int(settings.get("batch", BATCH)) // int(settings.get("slots", 1)) - 1
    return min(GUESSED, max(LEAST_GUESSED, share))


def guessed(settings: Mapping[str, Any]) -> int:
    """How many tokens of one chat are guessed at a time, at most."""
    drafted = DRAFTED[0] if settings.get("draft") or settings.get("mtp") else 0
    return max(drafted, looked_up(settings) if settings.get("speculation") else 0)


def used_devices(settings: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The devices of a worker and how many layers each has; those with none are left out."""
    if not settings.get("gpu_layers"):
        return []
    names = str(settings.get("devices", "")).split(",")
    counts = [int(count) for count in str(settings.get("tensor_split", "")).split(",") if count]
    return [(name, count) for name, count in zip(names, counts, strict=False) if count]


def own_split(settings: Mapping[str, Any], devices: Sequence[tuple[str, str, str]]) -> list[float]:
    """How many layers go to each device in the order in which this build counts them: it takes no names. `devices` are (name, type,
    card) in the order of ggml's list.

    Raises LoadFailed where one is gone that layers were planned for.
    """
    from omni.runtimes import own_order  # whoever asks for the types of failures needs no more than these

    counts = dict(used_devices(settings))
    own = own_order(devices)
    if gone := sorted(counts.keys() - set(own)):
        raise LoadFailed(
            f"The device {' and '.join(gone)} is not there any more.", hint="`omni engine try` looks again."
        )
    return [float(counts.get(name, 0)) for name in own]


def reason_of(log: str) -> str:
    """The cause in llama.cpp's words, without time stamps and function names; "" when the log tells none."""
    errors = [match[1].strip() for match in re.finditer(r"^\S+ E (?:\S+ +)?\w+: (.+)$", log, re.MULTILINE)]
    for at, line in enumerate(errors):
        if line.startswith("error loading model:"):
            told = line.removeprefix("error loading model:").strip()
            vague = told.startswith("llama_model_loader: failed to load") and at > 0
            return (errors[at - 1] if vague else told).rstrip(".")
    return errors[0].rstrip(".") if errors else ""


def template_fault(log: str) -> str:
    """What is wrong with a chat template that keeps a base from being loaded; "" when nothing is."""
    if (match := _TEMPLATE.search(log)) is None:
        return ""
    lines = match[1].rpartition("\nError: ")[2].removeprefix(_NO_PARSER).strip().splitlines()
    return lines[0].removeprefix("Jinja Exception: ").rstrip(". ") if lines else "nobody says why"


class LoadFailed(EngineError):
    """A worker ended while it loaded a brain: of a file that llama.cpp does not check well, or for want of memory. `refused`:
    what its engine says of the brain's own file, "" where it blames none; the engine may load any other."""

    def __init__(self, message: str, *, hint: str = "", refused: str = "") -> None:
        super().__init__(message, hint=hint)
        self.refused = refused


def ended_while_loading(error: EngineError) -> LoadFailed | None:
    """The LoadFailed that a keeper's error is, where a worker was neither told to end nor said why it did."""
    if not _ENDED.search(error.message):
        return None
    return LoadFailed(error.message, hint=error.hint, refused=refused_of(error.hint))


def refused_of(told: str) -> str:
    """What an engine says of a file that it refused, by the end of its worker's log; "" where it refused none."""
    match = re.search(rf"{CANNOT_LOAD} [^\n]*?: ([^\n]+?)\.?$", told, re.MULTILINE)
    return match[1] if match is not None else ""


def ran_out(told: str) -> bool:
    """Whether these last words of a worker are those of one that got no more memory."""
    return re.search(NO_MEMORY, told) is not None


def no_room() -> LoadFailed:
    """The failure of a worker whose brain did not fit below its ceiling."""
    return LoadFailed(
        "This brain needs more memory than its process may take.",
        hint="Allocate less context (engine.context), write fewer answers at a time (engine.slots), or let it take more "
        "(engine.ceiling).",
    )


def device_ran_out(told: str) -> bool:
    """Whether these last words of a worker are those of one whose device had no more memory."""
    return _NO_DEVICE_MEMORY.search(told) is not None


def no_device_room() -> LoadFailed:
    """The failure of a worker whose layers did not fit into the memory of its devices: fewer may."""
    return LoadFailed(
        "The device has too little memory for this brain's layers.",
        hint="Close what else uses it, or let the processor do it (engine.gpu off).",
    )


def refusal(told: str) -> OmniError | None:
    """The BadFile, or LoadFailed, that ended a worker while it loaded, from the end of its log as a keeper tells it; None
    when it ended otherwise."""
    lines = told.splitlines()
    for at, line in enumerate(lines):
        if line.startswith((CANNOT_LOAD, DID_NOT_LOAD)):
            return BadFile(line, hint="\n".join(lines[at + 1 :]))
    if device_ran_out(told) or no_device_room().message in told:
        return no_device_room()
    return no_room() if ran_out(told) or no_room().message in told else None


def length(log: Path) -> int:
    """Bytes of a log so far."""
    return log.stat().st_size if log.is_file() else 0


def told_of(log: Path, offset: int) -> str:
    """What was written to a log after `offset`. Raises EngineError where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError as error:
        raise EngineError(f"The worker's log {log} cannot be read: {error.strerror}.") from error
