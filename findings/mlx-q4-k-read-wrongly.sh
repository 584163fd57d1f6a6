#!/usr/bin/env bash
# MLX: a GGUF's Q4_K weights are read without a word, and most of the numbers are others.
#
# Versions: mlx 0.32.4 on a Linux processor (mlx-cpu 0.32.4), gguf 0.19.0, numpy 2.4.6.
# Guessed: `mx.load` reads each quantisation that its GGUF reader takes as gguf-py (the format's own package) reads it, or raises.
# Seen: Q6_K and Q2_K agree to the rounding of float16, Q8_0, Q4_0 and Q4_1 come as packed weights with scales; Q3_K, Q5_K, Q5_0
#   and Q5_1 raise "gguf_tensor_to_f16 failed". Q4_K, the commonest of all, raises nothing: of 32,768 weights two in five are off by
#   more than a hundredth of the whole range. The blocks here are random numbers in the format's layout; with a real 1.5B model in
#   Q4_K_M answers were nonsense, and right after its Q4_K was read by gguf-py's rule.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps mlx==0.32.4 mlx-cpu==0.32.4 numpy==2.4.6 gguf==0.19.0 \
    pyyaml==6.0.3 tqdm==4.67.1 requests==2.32.5 2>"$folder/pip.log" || { cat "$folder/pip.log" >&2; exit 1; }

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import gguf
import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType as Kind

ROWS, COLUMNS = 64, 512
HALVES = {Kind.Q4_K: (0, 2), Kind.Q6_K: (208,), Kind.Q2_K: (80, 82)}  # where a block has its scales as float16
random = np.random.default_rng(1)
near = {}
for kind, places in HALVES.items():
    weights, length = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (ROWS * COLUMNS // weights, length), dtype=np.uint8)
    for place in places:
        scales = random.uniform(0.001, 0.02, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    raw = blocks.reshape(ROWS, -1)
    file = gguf.GGUFWriter("weights.gguf", "llama")
    file.add_tensor("weights", raw, raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    right = gguf.quants.dequantize(raw, kind)
    read = np.array(mx.load("weights.gguf")["weights"].astype(mx.float32))
    near[kind] = float((abs(read - right) < (right.max() - right.min()) / 100).mean())
    print(f"{kind.name}: {near[kind]:.3f} of the weights are right, correlation {np.corrcoef(read.ravel(), right.ravel())[0, 1]:.3f}")
if not (near[Kind.Q6_K] == near[Kind.Q2_K] == 1 and near[Kind.Q4_K] < 0.7):
    sys.exit("This is not what was seen before.")
PYTHON
