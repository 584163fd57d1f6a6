"""The client's end of an encrypted connection. Imported when a listener has a certificate: `ssl` is slow to load."""

import socket
import ssl
from contextlib import suppress

from omni.airlock.ends import ClientEnd

# TLS and HTTP are told apart by the first bytes; this is what OpenSSL says to a client that forgot the s of https.
_NOT_TLS = ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST")


class EncryptedEnd(ClientEnd):
    """TLS on a socket that does not block. The handshake happens while the first bytes are read."""

    def __init__(self, line: socket.socket, context: ssl.SSLContext) -> None:
        # The old socket object gives up its descriptor to this one.
        self._tls = context.wrap_socket(line, server_side=True, do_handshake_on_connect=False)
        super().__init__(self._tls)

    def receive(self, most: int) -> bytes | None:
        """What has come, b"" at the end, None when nothing is there now."""
        self.wants_write = False
        try:
            return self._tls.recv(most)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return None
        except ssl.SSLEOFError:  # without a goodbye, as many clients leave
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """How much of it could be sent now."""
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def has_more(self) -> bool:
        """Whether bytes wait that the kernel knows nothing of."""
        return self._tls.pending() > 0

    def explain(self, error: OSError) -> str:
        """What to tell a client who does not speak TLS."""
        return "This port speaks https, not http." if getattr(error, "reason", "") in _NOT_TLS else ""

    def hang_up(self) -> None:
        """Say goodbye in TLS, too, without waiting for the answer."""
        with suppress(OSError, ValueError):
            self._tls.unwrap()
        with suppress(OSError):
            socket.socket.shutdown(self._tls, socket.SHUT_WR)
