#!/usr/bin/env bash
# A grammar for LLGuidance that the engine cannot compile binds nothing, and the answer is a 200 all the same.
#
# Versions: xllamacpp 2026.10.11549 (llama.cpp's server with LLGuidance in it), gguf 0.19.0, Python 3.11, Linux x86-64.
# Guessed: a JSON Schema with a keyword that LLGuidance does not know, given as `grammar` ("%llguidance", then a rule of
#   `%json`) to /v1/chat/completions, is a 400, as a GBNF grammar is that names a rule which is not there.
# Seen: the schema without the keyword binds the answer. With `uniqueItems` the request is a 200 of free text that ends by
#   length; only the log says that the keyword is not implemented. GBNF is refused with a 400, as guessed.
# The model is made here: one layer of random weights whose words are bytes, pushed towards the letter n.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 gguf==0.19.0 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }

cat >"$folder/model.py" <<'PYTHON'
import sys

import gguf
import numpy

WIDTH, INNER = 64, 96
dice = numpy.random.default_rng(1)
words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, *[gguf.TokenType.BYTE] * 256]
file = gguf.GGUFWriter(sys.argv[1], "llama")
file.add_context_length(512)
file.add_embedding_length(WIDTH)
file.add_block_count(1)
file.add_feed_forward_length(INNER)
file.add_head_count(2)
file.add_head_count_kv(2)
file.add_layer_norm_rms_eps(1e-5)
file.add_tokenizer_model("llama")
file.add_token_list(words)
file.add_token_scores([0.0] * len(words))
file.add_token_types(kinds)
file.add_bos_token_id(1)
file.add_eos_token_id(2)
file.add_unk_token_id(0)
file.add_add_space_prefix(False)
file.add_chat_template("{% for message in messages %}{{ message.content }}{% endfor %}")
shapes = {name: (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
shapes |= {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
shapes = {f"blk.0.{name}.weight": shape for name, shape in shapes.items()} | {"token_embd.weight": (len(words), WIDTH)}
for name, shape in shapes.items():
    file.add_tensor(name, (dice.standard_normal(shape) * 0.1).astype(numpy.float32))
for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
    file.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))
file.write_header_to_file()
file.write_kv_data_to_file()
file.write_tensors_to_file()
file.close()
PYTHON

cat >"$folder/ask.py" <<'PYTHON'
import json
import os
import sys
import urllib.error
import urllib.request

from xllamacpp import CommonParams, Server

wanted = CommonParams()
wanted.model.path, wanted.n_ctx, wanted.warmup, wanted.fit_params = sys.argv[1], 512, False, False
wanted.hostnames, wanted.port, wanted.cpuparams.n_threads = ["127.0.0.1"], 0, 1
server = Server(wanted)


def ask(grammar):
    letter = 3 + ord("n")
    body = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 24, "temperature": 0, "grammar": grammar}
    body["logit_bias"] = [[letter, 100]]
    request = urllib.request.Request(server.listening_address + "/v1/chat/completions", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        return error.code, ""


def schema(**more):
    return "%llguidance {}\nstart: %json " + json.dumps({"type": "array", "items": {"enum": ["no", "yes"]}, "maxItems": 2, **more})


bound, dropped, gbnf = ask(schema()), ask(schema(uniqueItems=True)), ask("root ::= missing")
print(f"without the keyword: {bound}\nwith uniqueItems:    {dropped}\nGBNF, not whole:     {gbnf}", flush=True)
same = bound[0] == 200 and bound[1].startswith("[") and dropped == (200, "n" * 24) and gbnf[0] == 400
print("as it was seen" if same else "THE BEHAVIOUR HAS CHANGED", flush=True)
os._exit(0 if same else 1)
PYTHON

"$folder/venv/bin/python" "$folder/model.py" "$folder/tiny.gguf"
"$folder/venv/bin/python" "$folder/ask.py" "$folder/tiny.gguf" 2>"$folder/log" || { code=$?; tail -5 "$folder/log" >&2; exit "$code"; }
grep -q uniqueItems "$folder/log" || { echo "THE BEHAVIOUR HAS CHANGED: the log does not name the keyword" >&2; exit 1; }
