"""Entries as the cache would make them."""

from collections.abc import Collection
from typing import Any

from batchapi.store import Entry, Found, Snapshot, Store

KEY = ("k", "GET /sessions/ as alice")


def make_entry(snapshot: Snapshot, tags: Collection[str] = ("t:chat_session",), **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "identity": KEY[1],
        "status": 200,
        "headers": (("Content-Type", "application/json"),),
        "body": b'{"ok":true}',
        "is_json": True,
        "stored": snapshot.clock(),
        "ttl": 600.0,
        "stale": 0.0,
        "epoch": snapshot.epoch,
        "generations": snapshot.generations_of(tags),
        "route": "session-list",
        "user": "7",
    }
    return Entry(**{**fields, **changes})


def snapshot_of(store: Store) -> Snapshot:
    snapshot, _ = store.read([])
    assert snapshot is not None, "the store is away"
    return snapshot


def keep(store: Store, tags: Collection[str] = ("t:chat_session",), key: str = KEY[0], **changes: Any) -> Entry:
    """Keep an answer whose view ran just now."""
    entry = make_entry(snapshot_of(store), tags, **changes)
    store.write({key: entry})
    return entry


def look(store: Store, key: tuple[str, str] = KEY) -> Found | None:
    _, [found] = store.read([key])
    return found


def is_fresh(store: Store, key: tuple[str, str] = KEY) -> bool:
    """Whether the store would answer in place of the view."""
    found = look(store, key)
    return found is not None and found.is_fresh
