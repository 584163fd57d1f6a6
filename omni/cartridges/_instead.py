"""What to pull instead of a model that another program keeps in a form of its own.

Only where it is surely the same model: by the name that Ollama's library gives to it, and by its number of layers. The
repositories are those that llama.cpp's own manual names (docs/multimodal.md), and our catalogue's.
"""

from omni.cartridges.gguf import GgufHeader

ANY = "omni pull hf.co/OWNER/REPOSITORY:QUANT"

_SAME: dict[str, dict[int, str]] = {  # name without its tag -> layers -> what brings it in the form of this engine
    "gemma3": {
        34: "hf.co/ggml-org/gemma-3-4b-it-GGUF",
        48: "hf.co/ggml-org/gemma-3-12b-it-GGUF",
        62: "hf.co/ggml-org/gemma-3-27b-it-GGUF",
    },
    "gemma4": {
        30: "@omni/gemma4-26b-a4b",
        35: "hf.co/ggml-org/gemma-4-E2B-it-GGUF",
        42: "@omni/gemma4-e4b",
        60: "hf.co/ggml-org/gemma-4-31B-it-GGUF",
    },
    "gpt-oss": {24: "@omni/gpt-oss-20b"},
    "llama4": {48: "hf.co/ggml-org/Llama-4-Scout-17B-16E-Instruct-GGUF"},
    "mistral-small3.1": {40: "hf.co/ggml-org/Mistral-Small-3.1-24B-Instruct-2503-GGUF"},
    "qwen2.5vl": {
        28: "hf.co/ggml-org/Qwen2.5-VL-7B-Instruct-GGUF",
        36: "hf.co/ggml-org/Qwen2.5-VL-3B-Instruct-GGUF",
        64: "hf.co/ggml-org/Qwen2.5-VL-32B-Instruct-GGUF",
        80: "hf.co/ggml-org/Qwen2.5-VL-72B-Instruct-GGUF",
    },
}
_SCOUT = 16  # experts; Maverick has as many layers and 128 of them


def instead(name: str, header: GgufHeader) -> str:
    """The command that brings the model which Ollama calls `name` as this engine reads it; where nobody knows which that
    is, the form of one."""
    substitute = _SAME.get(name.partition(":")[0], {}).get(header.layers, "")
    if header.architecture == "llama4" and header.experts != _SCOUT:
        substitute = ""
    return f"omni pull {substitute}" if substitute else ANY
