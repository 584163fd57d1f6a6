"""Run in a process of its own: a real keeper whose table of kinds holds small processes instead of brains and the network.

keeper [timings as JSON]     what a starter starts in these tests
worker                       echoes lines on its socket; spec.settings say how it misbehaves
airlock                      takes orders for tokens on its socket, ends with its fd 0 or, without a token, when told to leave
"""

import json
import os
import socket
import sys
import threading
import time

from omni.core.paths import python_command


def command(kind: str, *arguments: str) -> list[str]:
    return [*python_command("tests.keeper.doubles", packages=False), kind, *arguments]


def keeper() -> None:
    from omni.keeper.children import Kind, kinds
    from omni.keeper.process import Timings, main

    table = {
        "worker": Kind(command("worker"), {"GOMP_SPINCOUNT": "1000"}, nice=10),
        "airlock": Kind(command("airlock")),
        "helper": kinds()["helper"],
    }
    main(table, Timings(**json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}")))


def worker() -> None:
    from omni.keeper import adopt

    while (slow := os.environ.get("SLOW_START")) and not os.path.exists(slow):
        time.sleep(0.005)
    place = adopt.take(lonely=float(os.environ.get("LONELY", "60")))
    settings = place.spec["settings"]
    if settings.get("environment"):
        sys.stderr.write(f"GOMP_SPINCOUNT={os.environ['GOMP_SPINCOUNT']} nice={os.nice(0)}\n")
    if settings.get("die"):
        sys.stderr.write("llama: the tensors are upside down\n")
        place.failed("cannot load it")
    if gate := settings.get("gate"):  # loads until the test opens the gate
        while not os.path.exists(gate):
            time.sleep(0.005)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place.socket)
    listener.listen(16)
    place.ready()

    def echo(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                lines.write(place.key.encode() + b" " + line)
                lines.flush()

    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def airlock() -> None:
    if os.environ.get("AIRLOCK_FAILS"):
        sys.exit("there is no door in this wall")
    tokens: dict[str, dict[str, str]] = {}
    orders = socket.socket(fileno=0)
    lines = orders.makefile("rwb")
    first = json.loads(lines.readline())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(first["socket"])
    listener.listen(16)

    def serve() -> None:
        while True:
            connection = listener.accept()[0]
            with connection, connection.makefile("rwb") as asked:
                if line := asked.readline():
                    token, late = line.decode().strip(), time.monotonic() + 0.2
                    while token not in tokens and time.monotonic() < late:
                        time.sleep(0.002)  # the client may be quicker than the keeper
                    known = tokens.pop(token, None)
                    asked.write(json.dumps(known).encode() + b"\n")
                    asked.flush()
                    door = {"purpose": "pull", "host": "example", "since": 1.0, "bytes": 5}
                    # What is served is over at once here.
                    doors = [] if known and known["purpose"] == "serve" else [door]
                    lines.write(json.dumps({"doors": doors}).encode() + b"\n")
                    lines.flush()

    threading.Thread(target=serve, daemon=True).start()
    for line in lines:
        order = json.loads(line)
        if order.get("order") == "wall":
            lines.write(b'{"order": "wall", "attempts": [{"what": "AF_INET", "refused": false}]}\n')
            lines.flush()
            continue
        if order.get("order") == "leave":
            if not tokens:
                break
            lines.write(b'{"stays": true}\n')
            lines.flush()
            continue
        tokens[order["token"]] = order
    os._exit(0)


def main() -> None:
    {"keeper": keeper, "worker": worker, "airlock": airlock}[sys.argv[1]]()
