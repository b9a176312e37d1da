"""A way to a server that can be slow, stand still, be cut, or lose what the server answers; bytes go both ways."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from django.db import connection


class Relay:
    """Listens on a port of its own for as long as `relay` lasts."""

    def __init__(self, host: str, port: int) -> None:
        self.there = (host, port)
        self.here = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.here.getsockname()[1]
        self.cut_at: bytes | None = None  # Once the client sends this, the server gets it and its answer is lost.
        self.cut_after = 0.0  # seconds that the client then waits for it, until it is cut off
        self.lost: set[socket.socket] = set()  # servers whose answers are
        self.delay = 0.0  # seconds that each chunk of bytes takes in either direction
        self.is_cut = False  # Nobody is let through.
        self.flows = Event()  # cleared: bytes stand still, and nobody is told
        self.flows.set()
        self.pairs: set[tuple[socket.socket, socket.socket]] = set()  # client and server of each open connection

    def serve(self) -> None:
        """Take connections until the relay is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.here.accept()
                try:
                    if self.is_cut:
                        raise ConnectionRefusedError
                    server = socket.create_connection(self.there)
                except OSError:  # The client is told by the end of its own connection.
                    client.close()
                    continue
                pair = (client, server)
                self.pairs.add(pair)
                Thread(target=self.forward, args=pair, daemon=True).start()
                Thread(target=self.give_back, args=pair, daemon=True).start()

    def forward(self, client: socket.socket, server: socket.socket) -> None:
        """What a client says, until it has said all."""
        with suppress(OSError):
            while sent := client.recv(65536):
                if self.cut_at and self.cut_at in sent:
                    self.lost.add(server)
                self.hold_up()
                server.sendall(sent)
        with suppress(OSError):  # Also where the client was killed: the server must not wait for it.
            server.shutdown(socket.SHUT_WR)

    def give_back(self, client: socket.socket, server: socket.socket) -> None:
        """What the server answers, until either side has enough."""
        with suppress(OSError):
            while answer := server.recv(65536):
                if server in self.lost:  # It has done what it was told, and nobody hears of it.
                    time.sleep(self.cut_after)
                    break
                self.hold_up()
                client.sendall(answer)
            self.flows.wait()
        self.end((client, server))

    def hold_up(self) -> None:
        """Let bytes take as long as they are to take."""
        time.sleep(self.delay)
        self.flows.wait()

    def cut(self) -> None:
        """End every connection that there is now."""
        for pair in tuple(self.pairs):
            self.end(pair)

    def end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Close both sides of a connection."""
        self.pairs.discard(pair)
        self.lost.discard(pair[1])
        for each in pair:
            with suppress(OSError):  # The thread that reads from it hears of a shutdown, not of a close.
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def relay(host: str, port: int) -> Iterator[Relay]:
    """A relay for the length of a block."""
    one = Relay(host, port)
    Thread(target=one.serve, daemon=True).start()
    try:
        yield one
    finally:
        with suppress(OSError):
            one.here.shutdown(socket.SHUT_RDWR)
        one.here.close()
        one.flows.set()
        one.cut()


@contextmanager
def relayed_connection() -> Iterator[Relay]:
    """The default connection, and those that are opened meanwhile, go through a relay."""
    settings = connection.settings_dict
    there = settings["HOST"], settings["PORT"]
    with relay(there[0], int(there[1])) as one:
        connection.close()
        settings.update(HOST="127.0.0.1", PORT=one.port)
        try:
            yield one
        finally:
            connection.close()
            settings.update(HOST=there[0], PORT=there[1])
