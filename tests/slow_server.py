"""A server on the loopback that holds back half of a file."""

import http.server
import threading


class SlowServer:
    """Serves one GGUF; holds its second half back until told."""

    def __init__(self, data: bytes) -> None:
        self.go_on, self.half_sent = threading.Event(), threading.Event()
        self.starts: list[int] = []  # where each answer began
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(b"")

            def do_GET(self) -> None:
                start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-").split("-")[0])
                self.answer(data[start:], start)

            def answer(self, body: bytes, start: int = 0) -> None:
                outer.starts.append(start)
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", '"one"')
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                half = len(body) // 2
                try:
                    self.wfile.write(body[:half])
                    self.wfile.flush()
                    if body:
                        outer.half_sent.set()
                        outer.go_on.wait(60)
                    self.wfile.write(body[half:])
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/tiny-model.gguf"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
