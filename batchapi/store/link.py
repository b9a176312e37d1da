"""Commands in, what a Redis server answered out; None while it is away. Makes the epochs, because those end an outage.

The epoch and the server that it was made on are two fields of one Redis hash, `generations`.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis import ConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from batchapi.processes import debtors, residents
from batchapi.store.outage import Outage, Standing
from batchapi.store.pool import private_pool

TIMEOUT = 0.1  # Seconds to connect, and to wait for bytes.
WINDOW = 1.0  # Seconds between two looks for a server that is away, and between two words on the same trouble.
ROOM: Final = "{batchapi}"  # In braces: a Redis cluster keeps all of our keys on one node.
RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

Command = tuple[Any, ...]


class Link:
    """The one way to a server, with connections of its own."""

    def __init__(self, pool: ConnectionPool, generations: str, *, timeout: float, window: float) -> None:
        """Where `pool` leads, which is only read; `generations` is the key of the hash; times are seconds."""
        self.their_pool, self.generations = pool, generations
        self.timeout, self.window = timeout, window
        self.start()
        residents.add(self)
        debtors.add(self)

    def start(self, *, is_away: bool = False) -> None:
        """Have a pool, and no outage yet or one that goes on."""
        self.client = Redis(connection_pool=private_pool(self.their_pool, timeout=self.timeout, greet=self.greet))
        self.outage = Outage(self.heal, window=self.window, is_away=is_away)

    def trip(
        self, *commands: Command, least: Standing = Standing.HERE, is_atomic: bool = False, may_refuse: bool = False
    ) -> list[Any] | None:
        """One round trip: what each command answered; None if the server is away, or just went away.

        Where it `may_refuse` a command, the error that it gives in place of an answer is that command's answer.

        Whatever goes wrong means away, also what a client raises that got nonsense to parse: we cannot know whether
        the commands were done. An answer that another outage overtook is not given: it may be outdated.
        """
        number = self.outage.number
        if not self.outage.lets(least):
            return None
        try:
            answers = self.send(commands, is_atomic=is_atomic, may_refuse=may_refuse)
        except Exception as error:
            self.outage.begin(error)
            return None
        except BaseException as error:  # Somebody ends this thread in the middle of it.
            self.outage.begin(error)
            raise
        return answers if self.outage.number == number else None

    def send(self, commands: Sequence[Command], *, is_atomic: bool, may_refuse: bool) -> list[Any]:
        """One round trip. Raises what redis-py raises."""
        pipeline: Any  # redis-py gives `execute_command` no types.
        with self.client.pipeline(transaction=is_atomic) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = pipeline.execute(raise_on_error=not may_refuse)
        return answers

    def greet(self, theirs: Callable[[Any], None] | None, connection: Any) -> None:
        """On each new connection, before anything else: make a new epoch if this is not the server that we knew.

        One that was restarted, or took over from another, may have lost moves. Costs one trip, or two.
        """
        try:
            (theirs or type(connection).on_connect)(connection)
            info, known = self.ask(connection, ("INFO", "server"), ("HGET", self.generations, "server"))
            if not (found := RUN_ID.search(info)):
                raise RedisConnectionError("INFO tells no run_id.")
            if known != found[1]:
                epoch = secrets.token_hex(16)
                self.ask(connection, ("HSET", self.generations, "epoch", epoch, "server", found[1]))
        except BaseException:
            connection.disconnect()  # Otherwise redis-py could take it for one that was greeted.
            raise

    @staticmethod
    def ask(connection: Any, *commands: Command) -> list[Any]:
        """One round trip on a connection that no pool has given out yet. Raises what redis-py raises."""
        connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [connection.read_response() for _ in commands]

    def new_epoch(self, *, least: Standing = Standing.RETURNING) -> bool:
        """Outdate everything; True if it is certain that it happened.

        The generations may stay as they are: nobody compares them across epochs.
        """
        command = ("HSET", self.generations, "epoch", secrets.token_hex(16))
        return self.trip(command, least=least) is not None

    def heal(self) -> bool:
        """A new epoch, also while away."""
        return self.new_epoch(least=Standing.AWAY)

    @property
    def is_away(self) -> bool:
        """Whether nothing is asked of the server now, but moves."""
        return self.outage.standing is not Standing.HERE

    def restart(self) -> None:
        """In a child: a pool of its own. What the parent has lost is lost for the child too."""
        self.start(is_away=self.is_away)

    def last_try(self) -> None:
        """At the end of the process: tell the others of what was lost."""
        self.outage.last_try()

    def close(self) -> None:
        """End the connections and the thread."""
        self.outage.close()
        self.client.connection_pool.disconnect()
