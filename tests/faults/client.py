"""A client that sends mixed batches without end, and looks at each answer: right, an honest error, or wrong."""

import json
import re
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from threading import Event
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from tests.faults.ledger import COUNT, Item, Ledger, Trip, fate
from tests.serving.prepare import CALLERS
from tests.serving.server import headers_of

PATIENCE = 20.0  # seconds; longer than any batch may take
HONEST = {424, 500, 502, 503, 504}  # Statuses that say that something failed; with a code, and no answer beside it.
RESENDING = 40.0  # seconds; longer than it takes until a key of a killed process is free again
PAUSE = 0.1  # seconds between two of them
WRITES = ("said", "count", "first", "second")
NAMES = re.compile(r"caller-\d+")


class Client:
    """One caller's, in one thread. `foreign` is the number of a message that is somebody else's."""

    def __init__(self, port: int, caller: str, ledger: Ledger, *, is_keyed: bool = False) -> None:
        """Keyed, it sends a batch again under the same Idempotency-Key until every write of it is done."""
        self.port, self.caller, self.ledger, self.is_keyed = port, caller, ledger, is_keyed
        self.name = f"{caller}/{uuid4().hex[:8]}"
        self.number = 0
        self.foreign: int | None = None
        self.late: set[str] = set()  # what its counter may say although nobody said so
        self.counts = ledger.counted.setdefault(self.name, set())

    # -- one batch

    def prepare(self) -> None:
        """Make what every batch reads: two sessions, a message that never changes, one that counts."""
        fixed, count = self.marker("fixed"), f"{COUNT}{self.marker('0')}"
        sessions = [{"method": "PUT", "url": f"/api/sessions/{key}/", "body": {}} for key in ("home", "attic")]
        told = self.post([*sessions, say("fixed", "attic", fixed), say("count", "attic", count)])["responses"]
        assert {record["status"] for record in told} <= {200, 201}, told
        self.fixed, self.count = told[2]["body"], told[3]["body"]["id"]
        self.ledger.done.add(fixed)
        self.counts.add(count)

    def batch(self) -> list[Item]:
        """Reads that may be kept, one twice, one of somebody else's; writes, a reference, an atomic group."""
        self.number += 1
        count = f"/api/messages/{self.count}/"
        mine = f"/api/messages/{self.fixed['id']}/"
        group = {"atomicityGroup": "both"}
        return [
            {"id": "me", "url": "/api/auth/me/"},
            {"id": "people", "url": "/api/people/"},
            {"id": "list", "url": "/api/sessions/"},
            {"id": "fixed", "url": mine},
            {"id": "fixed again", "url": mine},
            {"id": "foreign", "url": f"/api/messages/{self.foreign or 0}/"},
            {"id": "before", "url": count},
            say("said", "home", self.marker("said")),
            {"id": "read", "url": "/api/messages/{id}/", "bind": {"{id}": "$said.body#/id"}},
            {"id": "count", "method": "PATCH", "url": count, "body": {"content": self.counter()}},
            {"id": "after", "url": count},
            {**say("first", "home", self.marker("first")), **group},
            {**say("second", "attic", self.marker("second")), **group},
            {"id": "stats", "url": "/api/stats/"},
        ]

    def marker(self, what: str) -> str:
        return f"{self.name}/{self.number}/{what}"

    def counter(self) -> str:
        return f"{COUNT}{self.marker('count')}"

    def run(self, stop: Event) -> None:
        """Send batches until told to stop."""
        while not stop.is_set():
            self.go()

    def go(self) -> Trip:
        """Send one batch and note what came of it."""
        items, began = self.batch(), monotonic()
        answer = self.exchange(items)
        seen, has_hit = self.look_at(answer), "batchapi; hit" in str(answer)
        trip = Trip(client=self.name, began=began, ended=monotonic(), seen=seen, has_hit=has_hit)
        with self.ledger.lock:
            self.ledger.trips.append(trip)
        return trip

    # -- over HTTP

    def exchange(self, items: list[Item]) -> Any:
        """The answer, or the name of what came in its place; keyed, the last of several."""
        key = uuid4().hex if self.is_keyed else None
        answer, until = self.try_to_post(items, key), monotonic() + RESENDING
        while key and not is_all_done(answer) and monotonic() < until:
            sleep(PAUSE)
            self.ledger.resent += 1
            answer = self.try_to_post(items, key)
        return answer

    def try_to_post(self, items: list[Item], key: str | None) -> Any:
        """The answer, or the name of what came in its place."""
        began = monotonic()
        try:
            return self.post(items, key=key)
        except (OSError, HTTPException) as error:
            return f"no answer: {type(error).__name__}"
        finally:
            self.ledger.slowest = max(self.ledger.slowest, monotonic() - began)

    def post(self, items: list[Item], *, key: str | None = None) -> Any:
        """What a batch was answered. Raises OSError and HTTPException."""
        headers = headers_of(self.caller) | ({"Idempotency-Key": key} if key else {})
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("POST", "/api/batch/", json.dumps({"requests": items}).encode(), headers)
            body = connection.getresponse().read().decode()
        if others := {*NAMES.findall(body)} - {self.caller}:
            self.complain(f"names {others} in an answer", body)
        try:
            return json.loads(body)
        except ValueError:
            return "no answer: HTML"

    # -- looking at it

    def look_at(self, answer: Any) -> Counter[str]:
        """What is not as it should be; the ledger gets what is wrong, and what became of the writes."""
        if not isinstance(answer, dict) or "responses" not in answer:
            self.give_up(answer)
            return Counter([answer if isinstance(answer, str) else f"batch {answer['status']} {answer.get('code')}"])
        told = {record["id"]: record for record in answer["responses"]}
        before = {*self.counts} | ({self.counter()} if self.is_keyed else set())  # A resend reads what it wrote.
        self.note_counter(told["count"])
        for what in ("said", "first", "second"):
            self.ledger.note(self.marker(what), told[what])
        self.ledger.groups.append((self.marker("first"), self.marker("second")))
        bad = [record for record in told.values() if not self.is_right(record, before)]
        for record in bad:
            if not is_honest(record):
                self.complain(f"wrong answer to {record['id']!r}", record)
        return Counter(f"{record['status']} {code_of(record)}" for record in bad)

    def give_up(self, answer: Any) -> None:
        """Nobody knows what became of a batch, unless it was refused."""
        is_refused = isinstance(answer, dict) and 400 <= answer["status"] < 500
        writes = [self.marker(what) for what in ("said", "first", "second")]
        with self.ledger.lock:
            (self.ledger.gone if is_refused else self.ledger.maybe).update(writes)
            self.ledger.groups.append((writes[1], writes[2]))
        if not is_refused:
            self.late.add(self.counter())
            self.counts.add(self.counter())

    def note_counter(self, record: Item) -> None:
        """What the counter may say from now on; a write that nobody knows of may still come through later."""
        counter, done, gone, maybe = self.counter(), set[str](), set[str](), self.late
        if fate(record, done, gone, maybe) is done:
            self.counts.clear()
            self.counts.add(counter)
        fate(record, done, gone, maybe).add(counter)
        self.counts.update(self.late)

    def is_right(self, record: Item, before: set[str]) -> bool:
        """Whether it is what it would be if nothing had happened."""
        status, body = record["status"], record["body"]
        match record["id"]:
            case "foreign":
                return status == 404
            case "me":
                return status == 200 and body["username"] == self.caller
            case "people":
                return status == 200 and body == {"people": CALLERS}
            case "list":
                return status == 200 and {session["id"] for session in body["results"]} == {"home", "attic"}
            case "fixed" | "fixed again":
                return status == 200 and body == self.fixed
            case "before":
                return status == 200 and body["content"] in before
            case "count" | "after":
                return status == 200 and body["content"] in self.counts
            case "read":
                return status == 200 and body["content"] == self.marker("said")
            case "said" | "first" | "second" as what:
                return status == 201 and body["content"] == self.marker(what)
        return status == 200

    def complain(self, what: str, about: object) -> None:
        self.ledger.wrong.append(f"{self.name} {self.number}: {what}: {str(about)[:500]}")


def say(name: str, session: str, content: str) -> Item:
    """A sub-request that writes a message, each time that it runs."""
    return {"id": name, "method": "POST", "url": f"/api/sessions/{session}/messages/", "body": {"content": content}}


def is_all_done(answer: Any) -> bool:
    """Whether every write of a batch has been answered as it should be."""
    if not isinstance(answer, dict) or "responses" not in answer:
        return False
    return all(record["status"] < 400 for record in answer["responses"] if record["id"] in WRITES)


def is_honest(record: Item) -> bool:
    """Whether it says that something failed, and nothing else."""
    return record["status"] in HONEST and isinstance(record["body"], dict) and "code" in record["body"]


def code_of(record: Item) -> str:
    body = record["body"]
    return str(body.get("code", "")) if isinstance(body, dict) else ""
