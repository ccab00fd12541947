"""A cable to a server, which can be cut, left without an answer, and mended."""

import os
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Cable:
    """Listens on a port of its own and carries what comes to the broker of the session, until it is hurt."""

    def __init__(self) -> None:
        parts = urlsplit(os.environ["BROKER_URL"])
        self._to = (parts.hostname or "", parts.port or 0)
        self._sockets: list[socket.socket] = []
        self._silent = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self._port = self._server.getsockname()[1]
        self.url = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{self._port}").geturl()
        self._listen()

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._break()

    def silence(self) -> None:
        """Break all connections, accept new ones, and never say a word."""
        self._silent = True
        self._break()

    def mend(self) -> None:
        """Carry again."""
        if self._silent:
            self._silent = False
            self._break()
        else:
            self._server = socket.create_server(("127.0.0.1", self._port))
            self._listen()

    def _break(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = server.accept()
                self._sockets.append(here)
                if not self._silent:
                    there = socket.create_connection(self._to)
                    self._sockets.append(there)
                    for source, sink in ((here, there), (there, here)):
                        threading.Thread(target=_carry, args=(source, sink), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
