"""Every circuit of this process."""

import secrets
import time
from threading import Lock

from batchapi.processes import residents
from batchapi.store.circuit import PATIENCE, LocalCircuit, State, Terms
from batchapi.store.circuits import Call, list_states, log_change


class LocalCircuits:
    """The circuits of one process."""

    is_shared = False

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.start()
        residents.add(self)

    def start(self) -> None:
        """Know nothing."""
        self.lock = Lock()
        self.circuits: dict[str, LocalCircuit] = {}

    def begin(self, route: str, seconds: float | None) -> Call | float:
        """See `Circuits.begin`."""
        token = secrets.token_hex(8)
        with self.lock:
            circuit = self.circuits.get(route)
            if circuit is None or circuit.opening is None:
                return Call(self, route)
            if seconds is None:
                return circuit.wait(time.monotonic())
            wait = circuit.ask(token, now=time.monotonic(), lease=seconds + PATIENCE)
        return Call(self, route, token) if wait is None else wait

    def note(self, call: Call, succeeded: bool | None) -> None:
        """See `Circuits.note`."""
        with self.lock:
            circuit = self.circuits.setdefault(call.route, LocalCircuit(self.terms))
            before = circuit.opening
            if call.token:
                circuit.end_probe(call.token, succeeded=succeeded, now=time.monotonic())
            elif succeeded is not None:
                circuit.note(succeeded=int(succeeded), failed=int(not succeeded), now=time.monotonic())
            after = circuit.opening
        if after is not before:
            log_change(call.route, after)

    def tell(self) -> None:
        """See `Circuits.tell`: there is nobody else."""

    def states(self) -> list[State]:
        """See `Circuits.states`."""
        now = time.monotonic()
        with self.lock:
            openings = {route: circuit.opening for route, circuit in self.circuits.items() if circuit.opening}
        return list_states(openings, now=now, epoch=time.time() - now)

    def isolate(self, route: str) -> bool:
        """See `Circuits.isolate`."""
        with self.lock:
            self.circuits.setdefault(route, LocalCircuit(self.terms)).isolate(time.monotonic())
        return True

    def reset(self, route: str) -> bool:
        """See `Circuits.reset`."""
        with self.lock:
            self.circuits.pop(route, None)
        return True

    def restart(self) -> None:
        """In a child: the lock may be held by a thread that is not there."""
        self.start()
