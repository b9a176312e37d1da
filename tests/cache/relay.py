"""A way to a server that can lose what the server answers: bytes go both ways until they are to be lost."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


class Relay:
    """Listens on a port of its own for as long as `relay` lasts."""

    def __init__(self, host: str, port: int) -> None:
        self.there = (host, port)
        self.here = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.here.getsockname()[1]
        self.cut_at: bytes | None = None  # Once the client sends this, the server gets it and its answer is lost.
        self.lost: set[socket.socket] = set()  # servers whose answers are
        self.sockets: list[socket.socket] = [self.here]

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.here.accept()
                server = socket.create_connection(self.there)
                self.sockets += [client, server]
                Thread(target=self.forward, args=(client, server), daemon=True).start()
                Thread(target=self.give_back, args=(server, client), daemon=True).start()

    def forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while sent := client.recv(65536):
                if self.cut_at and self.cut_at in sent:
                    self.lost.add(server)
                server.sendall(sent)
            server.shutdown(socket.SHUT_WR)

    def give_back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(65536):
                if server in self.lost:  # It has done what it was told, and nobody hears of it.
                    break
                client.sendall(answer)
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(host: str, port: int) -> Iterator[Relay]:
    """A relay for the length of a block."""
    one = Relay(host, port)
    Thread(target=one.serve, daemon=True).start()
    try:
        yield one
    finally:
        for each in one.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
