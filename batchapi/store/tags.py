"""The names of tags: what an entry was made from, and whom it is for."""

from zlib import crc32

BUCKETS = 256  # of users: to purge one outdates the answers of all in a bucket, and the generations stay few


def table_tag(table: str) -> str:
    """Of a table, by its lower-case name."""
    return f"t:{table}"


def route_tag(route: str) -> str:
    """Of a view, by its name or its URL pattern."""
    return f"r:{route}"


def user_tag(user: str) -> str:
    """Of a user, by primary key as text."""
    return f"u:{crc32(user.encode()) % BUCKETS}"


def alias_tag(alias: str) -> str:
    """Of a database."""
    return f"@{alias}"
