"""The connection pool of a project's cache in, one of our own out: to the same server, with our own patience."""

import copy
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

Greet = Callable[[Callable[[Any], None] | None, Any], None]  # what the project does on a new connection, the connection

# How the project reads answers, waits and tries again, and what redis-py shares between the connections of one pool.
NOT_OURS = re.compile(
    r"connection_pool|parser_class|protocol|legacy_responses|decode_responses|encoding.*|retry.*|health_check_interval|"
    r"himport_registry|command_packer|event_dispatcher|maint.*|orig_.*|oss_cluster.*"
)
MOST_CONNECTIONS = 2**31  # Whoever bounds our threads bounds these; a full pool would look like an outage.


def private_pool(pool: ConnectionPool, *, timeout: float, greet: Greet | None = None) -> ConnectionPool:
    """A pool of our own to where `pool` leads, with timeouts in seconds and no second attempts; `pool` is only read.

    A hung server then costs one timeout, and no outage is hidden by a second attempt that goes well. A plain pool also
    in place of one that blocks: to wait for a connection takes longer than to do without the store. RESP2, because
    over RESP3 the server may stretch our timeouts by maintenance notifications.
    """
    options = {name: value for name, value in pool.connection_kwargs.items() if not NOT_OURS.fullmatch(name)}
    options |= {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if greet:
        options["redis_connect_func"] = partial(greet, options.get("redis_connect_func"))
    options |= {"connection_class": pool.connection_class, "max_connections": MOST_CONNECTIONS}
    if isinstance(pool, SentinelConnectionPool):
        sentinel = private_sentinel(pool.sentinel_manager, timeout=timeout)
        make: Any = SentinelConnectionPool  # redis-py gives it no types.
        ours: ConnectionPool = make(pool.service_name, sentinel, check_connection=pool.check_connection, **options)
        return ours
    return ConnectionPool(**options)


def private_sentinel(sentinel: Sentinel, *, timeout: float) -> Sentinel:
    """The same sentinels, asked over connections of our own."""
    ours = copy.copy(sentinel)
    ours.sentinels = [
        Redis(connection_pool=private_pool(client.connection_pool, timeout=timeout)) for client in sentinel.sentinels
    ]
    return ours
