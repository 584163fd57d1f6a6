"""Tables of ggml and llama.cpp: tensor types and their sizes, file types, kinds of models and vocabularies. Data, no logic.

Source: ggml.h, llama.h and llama-vocab.cpp of the llama.cpp inside xllamacpp 2026.10; `architectures.py` has its loaders.
"""

TENSOR_TYPES: dict[int, tuple[str, int, int]] = {  # number -> name, elements per block, bytes per block
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}

FILE_TYPES: dict[int, tuple[str, tuple[str, ...]]] = {  # number -> name, the tensor types of which it has at least one
    0: ("F32", ("F32",)),
    1: ("F16", ("F16",)),
    2: ("Q4_0", ("Q4_0",)),
    3: ("Q4_1", ("Q4_1",)),
    7: ("Q8_0", ("Q8_0",)),
    8: ("Q5_0", ("Q5_0",)),
    9: ("Q5_1", ("Q5_1",)),
    10: ("Q2_K", ("Q2_K",)),
    11: ("Q3_K_S", ("Q3_K",)),
    12: ("Q3_K_M", ("Q3_K",)),
    13: ("Q3_K_L", ("Q3_K",)),
    14: ("Q4_K_S", ("Q4_K",)),
    15: ("Q4_K_M", ("Q4_K",)),
    16: ("Q5_K_S", ("Q5_K",)),
    17: ("Q5_K_M", ("Q5_K",)),
    18: ("Q6_K", ("Q6_K",)),
    19: ("IQ2_XXS", ("IQ2_XXS",)),
    20: ("IQ2_XS", ("IQ2_XS",)),
    21: ("Q2_K_S", ("Q2_K",)),
    22: ("IQ3_XS", ("IQ3_S", "IQ3_XXS")),
    23: ("IQ3_XXS", ("IQ3_XXS",)),
    24: ("IQ1_S", ("IQ1_S",)),
    25: ("IQ4_NL", ("IQ4_NL",)),
    26: ("IQ3_S", ("IQ3_S",)),
    27: ("IQ3_M", ("IQ3_S",)),
    28: ("IQ2_S", ("IQ2_S", "IQ2_XS")),
    29: ("IQ2_M", ("IQ2_S",)),
    30: ("IQ4_XS", ("IQ4_XS",)),
    31: ("IQ1_M", ("IQ1_M",)),
    32: ("BF16", ("BF16",)),
    36: ("TQ1_0", ("TQ1_0",)),
    37: ("TQ2_0", ("TQ2_0",)),
    38: ("MXFP4", ("MXFP4",)),
    39: ("NVFP4", ("NVFP4",)),
    40: ("Q1_0", ("Q1_0",)),
}

POOLINGS = {0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}
"""How the vectors of a text's tokens become one, as `pooling_type` numbers it."""

_EMBEDDING = """
bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding
gemma-embedding2 llama-embed t5encoder
"""
EMBEDDING_ARCHITECTURES = frozenset(_EMBEDDING.split())

_DRAFTING = """
bailingmoe3 cohere2moe deepseek2 deepseek32 deepseek4 glm-dsa glm4moe glm5-next hy_v3 mimo2 nemotron_h_moe qwen35 qwen35moe
qwen3next step35
"""
DRAFTING_ARCHITECTURES = frozenset(_DRAFTING.split())
"""Whose layers that draft the engine computes with, by its sources (`DECODER_MTP` in llama.cpp of llama-cpp-python 0.3.36)."""

_OTHER = """
wavtokenizer-dec qwen3tts pockettts gemma4-assistant clef dflash eagle3
"""
OTHER_ARCHITECTURES = frozenset(_OTHER.split())
"""Known to the engine, but models that speak, decide or draft for another, and answer nobody."""

TOKENIZERS = frozenset(
    [
        "llama",
        "bert",
        "gpt2",
        "hybriddna",
        "whitespace",
        "t5",
        "rwkv",
        "test",
        "plamo2",
        "plamo3",
        "gemma4",
        "no_vocab",
        "none",
    ]
)
"""Kinds of vocabularies, as `tokenizer.ggml.model` names them."""

MERGING_TOKENIZERS = frozenset(("gpt2", "hybriddna", "whitespace"))
"""Those of which the engine must also know how they cut texts, and how they join the pieces."""

_CUTTING = """
a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe command-r dbrx deepseek-coder
deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone exaone-moe exaone4 f2llmv2 falcon falcon-h1 falcon3 gemma4
gigachat glm4 glm5 gpt-2 gpt-4o gpt3-finnish granite-docling granite-embed-multi-311m granite-embed-multi-97m grok-2
hunyuan hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en jina-v2-code jina-v2-de jina-v2-es jina-v5-nano
joyai-llm k2-horizon kanana2 kimi-k2 kormo laguna lfm2 llada-moe llama-bpe llama-v3 llama3 llama4 megrez mellum mellum2
midm-2.0 minerva-7b minicpm5 minimax-m2 mmbert modern-bert mpt olmo phi-2 pixtral poro-chat qwen2 qwen35 refact
roberta-bpe sarvam-moe seed-coder smaug-bpe smollm solar-open spark2_5 stablelm2 starcoder superbpe talkie tekken
tiny_aya trillion ufakzeka viking whitespace youtu
"""
PRETOKENIZERS = frozenset(_CUTTING.split())
"""Ways to cut texts, as `tokenizer.ggml.pre` names them. Where a file names none, the engine takes one and warns."""

SCALINGS = frozenset(("none", "linear", "yarn", "longrope"))
"""How positions beyond the trained ones are reached, as `rope.scaling.type` names it."""
