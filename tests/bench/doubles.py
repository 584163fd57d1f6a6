"""Programs that others install: doubles of a llama-server and of Ollama's command, which note what they are asked."""

import sys
from pathlib import Path

_LLAMA_SERVER = """#!{python}
import json, os, socket, socketserver, sys
from http.server import BaseHTTPRequestHandler

arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("version: 9999 (abc)", file=sys.stderr)
    sys.exit()
fault = {fault!r}
if fault == "illegal":
    os.kill(os.getpid(), 4)
if fault == "model":
    print("0.00.001 E llama_model_load: error loading model: unknown model architecture", file=sys.stderr)
    sys.exit(1)
noted = open({log!r}, "a")
try:
    socket.socket().close()
    network = "there"
except OSError:
    network = "refused"
print(json.dumps({{"arguments": arguments, "settings": [one for one in os.environ if one.startswith("LLAMA_ARG_")],
                   "pid": os.getpid(), "network": network}}), file=noted, flush=True)


class Handler(BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"

    def do_GET(self):
        self.answer(b'{{"status": "ok"}}')

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(json.dumps(body), file=noted, flush=True)
        if fault == "dies":
            os.kill(os.getpid(), 9)
        timings = {{"prompt_n": 700, "prompt_ms": 1000.0, "predicted_n": 50, "predicted_ms": 2000.0}}
        lines = [{{"choices": [{{"delta": {{"content": None}}}}]}}, {{"choices": [{{"delta": {{"content": "The"}}}}]}},
                 {{"choices": [{{"delta": {{}}}}], "timings": timings}}]
        if fault == "old":
            del lines[2]["timings"]
        self.answer("".join(f"data: {{json.dumps(line)}}\\n\\n" for line in lines).encode() + b"data: [DONE]\\n\\n")

    def answer(self, data):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


socketserver.UnixStreamServer(arguments[arguments.index("--host") + 1], Handler).serve_forever()
"""

_OLLAMA = '''#!{python}
import json, sys

arguments = sys.argv[1:]
read = sys.stdin.read() if arguments[:1] == ["run"] else ""
if arguments[:1] == ["create"]:
    read = open(arguments[3]).read()
with open({log!r}, "a") as noted:
    print(json.dumps({{"arguments": arguments, "read": read}}), file=noted)
fault = {fault!r}
if fault == "silent" and arguments[0] != "--version":
    sys.exit("Error: could not connect to ollama server, run 'ollama serve' to start it")
if arguments == ["--version"]:
    print("ollama version is 0.99.1")
if arguments[:1] == ["run"]:
    print("The keeper of the light.\\n")
    if fault != "mute":
        print("""
total duration:       2.1s
load duration:        9.1ms
prompt eval count:    710 token(s)
prompt eval duration: 1.42s
prompt eval rate:     500.00 tokens/s
eval count:           64 token(s)
eval duration:        1.6s
eval rate:            40.00 tokens/s""", file=sys.stderr)
'''


def llama_server(folder: Path, log: Path, *, fault: str = "") -> Path:
    """A llama-server in `folder`."""
    return _program(folder / "llama-server", _LLAMA_SERVER, log, fault)


def ollama(folder: Path, log: Path, *, fault: str = "") -> Path:
    """Ollama's command in `folder`."""
    return _program(folder / "ollama", _OLLAMA, log, fault)


def _program(path: Path, text: str, log: Path, fault: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(python=sys.executable, log=str(log), fault=fault), "utf-8")
    path.chmod(0o755)
    return path
