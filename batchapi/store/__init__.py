"""Where kept answers live: keys and entries in, entries with their age out. The one room that knows cache keys.

An entry carries the generations that its tags had before its view ran. It is current while the store's epoch is the
one that it was made under and each of those generations is still the same number.
"""

from batchapi.store.chosen import get_circuits, get_counter, get_store
from batchapi.store.circuit import State, Terms
from batchapi.store.circuits import Call, Circuits
from batchapi.store.counter import Counter
from batchapi.store.entry import ALONE, EVERYTHING, Entry, Found, Snapshot, Store

__all__ = [
    "ALONE",
    "EVERYTHING",
    "Call",
    "Circuits",
    "Counter",
    "Entry",
    "Found",
    "Snapshot",
    "State",
    "Store",
    "Terms",
    "get_circuits",
    "get_counter",
    "get_store",
]
