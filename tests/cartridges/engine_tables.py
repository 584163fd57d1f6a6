"""Makes the table of omni/cartridges/architectures.py anew, from the sources of the llama.cpp that an xllamacpp carries.

    pip download --no-deps --no-binary :all: xllamacpp==VERSION     (unpack it)
    python tests/cartridges/engine_tables.py xllamacpp-VERSION/thirdparty/llama.cpp > table.txt

What is printed goes between the quotes there. It is read out of the functions that load each architecture: a name that
such a function mentions anywhere is one that the loader may take; one that it takes without a condition is needed. The
tests beside this file ask the engine whether it agrees.
"""

import re
import sys
from pathlib import Path

SUFFIXED = re.compile(r"^(?: {4}| {8})(?:[\w.\->]+\s*=\s*)?create_tensor\(\s*tn\((LLM_TENSOR_\w+),\s*\"weight\"\s*(?:,\s*\w+)?\),\s*\{[^}]*\},\s*0\);", re.MULTILINE)  # fmt: skip
BARE = re.compile(r"\btn\((LLM_TENSOR_\w+)(?:,\s*[^\",()]*)?\)")
WANTED = re.compile(r"^ {4}ml\.get_key(?:_or_arr)?\((LLM_KV_\w+)\s*,([^;]*)\);", re.MULTILINE)
FUNCTION = re.compile(
    r"^(?:void|bool) (llama_model_\w+)::(load_arch_hparams|load_arch_tensors)\(.*?^\}", re.MULTILINE | re.DOTALL
)
LAYER = re.compile(r"^(?:blk|posnet|convnext)\.%d\.")


def table(source: Path) -> list[str]:
    """One line for each architecture."""
    names = (source / "llama-arch.cpp").read_text("utf-8")
    architectures = _pairs(names[names.index("LLM_ARCH_NAMES") :].partition("};")[0], "LLM_ARCH")
    tensors = {name: _short(text) for name, text in _pairs(names, "LLM_TENSOR").items()}
    keys = {name: text.removeprefix("%s.") for name, text in _pairs(names, "LLM_KV").items() if text.startswith("%s.")}
    functions: dict[tuple[str, str], str] = {}
    for path in sorted((source / "models").glob("*.cpp")):
        for match in FUNCTION.finditer(path.read_text("utf-8")):
            functions[match[1], match[2]] = match[0]
    parents = dict(
        re.findall(r"struct (llama_model_\w+) : public (llama_model_\w+)", (source / "models/models.h").read_text())
    )
    lines = []
    for architecture, model in _models((source / "llama-model.cpp").read_text("utf-8")).items():
        loads = _inherited(functions, parents, model, "load_arch_tensors")
        reads = _inherited(functions, parents, model, "load_arch_hparams")
        bare = {tensors[name] for name in BARE.findall(loads)}
        taken = {tensors[name] for name in re.findall(r"LLM_TENSOR_\w+", BARE.sub("", loads)) if name in tensors}
        if "create_tensor_qkv" in loads:
            taken |= {".attn_q", ".attn_k", ".attn_v", ".attn_qkv"}
        if "create_tensor_gate_up_exps" in loads:
            taken |= {".ffn_gate_up_exps", ".ffn_gate_exps", ".ffn_up_exps"}
        needed = {tensors[match[1]] for match in SUFFIXED.finditer(loads) if _always(loads, match)}
        entries = {keys[match[1]] for match in WANTED.finditer(reads) if match[1] in keys and "false" not in match[2]}
        words = [f"+{name}" if name in needed else name for name in sorted(taken)] + [
            f"{name}=" for name in sorted(bare)
        ]
        lines.append(" ".join([f"{architectures[architecture]}:", *sorted(f"@{key}" for key in entries), *words]))
    return sorted(lines)


def _always(text: str, match: re.Match[str]) -> bool:
    """Whether it stands in the function itself, or in a loop there, and under no condition."""
    if not match[0].startswith(" " * 8):
        return True
    above = re.findall(r"^ {4}\S.*$", text[: match.start()], re.MULTILINE)
    return bool(above) and above[-1].strip().startswith("for (")


def _pairs(text: str, kind: str) -> dict[str, str]:
    return dict(re.findall(rf'\{{\s*({kind}_\w+)\s*,\s*"([^"]+)"', text))


def _short(text: str) -> str:
    """`.attn_q` for what stands in every layer."""
    return LAYER.sub(".", text).replace("blk.%d.", "").replace("%d", "*")


def _models(text: str) -> dict[str, str]:
    models: dict[str, str] = {}
    for case in re.finditer(r"((?:\s*case LLM_ARCH_\w+:)+)\s*\{?\s*return new (llama_model_\w+)", text):
        models |= dict.fromkeys(re.findall(r"LLM_ARCH_\w+", case[1]), case[2])
    return models


def _inherited(functions: dict[tuple[str, str], str], parents: dict[str, str], model: str | None, name: str) -> str:
    while model:
        if (model, name) in functions:
            return functions[model, name]
        model = parents.get(model)
    raise SystemExit(f"nothing defines {name}")


if __name__ == "__main__":
    print("\n".join(table(Path(sys.argv[1]) / "src")))
