"""A public socket as the relay sees it: nothing here waits. `encrypted.py` has the same for TLS."""

import socket
from contextlib import suppress


class ClientEnd:
    """The client's end of a connection. All methods raise OSError when the client has cut it."""

    wants_write = False  # whether reading goes on only after something could be written

    def __init__(self, line: socket.socket) -> None:
        self.line = line

    def receive(self, most: int) -> bytes | None:
        """What has come, b"" at the end, None when nothing is there now."""
        try:
            return self.line.recv(most)
        except BlockingIOError:
            return None

    def send(self, data: bytes | memoryview) -> int:
        """How much of it could be sent now."""
        try:
            return self.line.send(data)
        except BlockingIOError:
            return 0

    def has_more(self) -> bool:
        """Whether bytes wait that the kernel knows nothing of."""
        return False

    def explain(self, error: OSError) -> str:  # noqa: ARG002 - the encrypted one looks at it
        """What to tell a client who does not speak what is spoken here; "" to hang up without a word."""
        return ""

    def hang_up(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self.line.shutdown(socket.SHUT_WR)

    def tell(self, data: bytes) -> None:
        """Send without encryption, whatever was spoken so far."""
        with suppress(OSError):
            socket.socket.send(self.line, data)
