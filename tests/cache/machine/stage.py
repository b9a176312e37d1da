"""Callers who read, places that write, and what is true of every answer: the rows alone decide."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session as LoginSession
from django.test import Client
from rest_framework.authtoken.models import Token

from chat.models import Message, Session
from tests.cache.machine.roads import CALLERS, GROUP_NAMES, LOGS_OUT, ROADS
from tests.cache.machine.views import RAN, TABLES, Now, body_of
from tests.cache.machine.writer import PLACES, Place, post, the_store
from tests.store.server import Server, eventually

Record = dict[str, Any]
Said = tuple[int, Any]  # status and body

REQUESTS: list[Record] = [{"url": url} for url in TABLES] + [{"url": "/api/own/", "method": "HEAD"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who asks, alone and by batch."""

    user: str
    client: Client
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """The key of the login session, "" if there is none."""
        morsel = self.client.cookies.get(settings.SESSION_COOKIE_NAME)
        return morsel.value if morsel else ""

    def ask_alone(self, request: Record) -> Said:
        """What Django answers, without batches."""
        response = self.client.generic(request.get("method", "GET"), request["url"], headers=self.headers)
        return response.status_code, body_of(response)


class Stage:
    """The rows, and when each table was last written, in steps."""

    def __init__(self, server: Server | None) -> None:
        """`server` is the Redis that may be harmed; None where there is none."""
        self.server = server
        self.places: dict[str, Place] = {name: open_place() for name, open_place in PLACES.items()}
        self.beside = PLACES["thread"]()  # reads while another thread writes
        self.hits: Counter[str] = Counter()
        self.step = 0
        the_store()

    def close(self) -> None:
        for place in (*self.places.values(), self.beside):
            place.close()

    def clear(self) -> None:
        """No rows."""
        for model in (Session, Group, User, LoginSession):
            model._default_manager.all().delete()

    def reset(self) -> None:
        """Rows to begin with, and nobody knows of an answer."""
        self.clear()
        groups = [Group.objects.create(name=name) for name in GROUP_NAMES]
        User.objects.create_superuser("staff")
        self.readers = {"nobody": Reader(user="", client=new_client())}
        for n, name in enumerate(CALLERS):
            user = User.objects.create(username=name)
            user.groups.add(groups[n])
            Session.objects.bulk_create(Session(owner=user, key=f"{name}-{i}", title=f"{name}-{i}") for i in range(2))
            Message.objects.bulk_create(Message(session=one, content="first") for one in user.chat_sessions.all())
            token = Token.objects.create(user=user).key
            by_token = Reader(user=name, client=new_client(), headers={"Authorization": f"Token {token}"})
            self.readers |= {f"{name}-session": Reader(user=name, client=new_client()), f"{name}-token": by_token}
            self.log_in(name)
        self.wrote: dict[str, int] = {}
        self.forget()

    def log_in(self, name: str) -> None:
        self.readers[f"{name}-session"].client.force_login(User.objects.get(username=name))

    def tick(self) -> int:
        """The next step."""
        self.step += 1
        Now.step = self.step
        return self.step

    def forget(self) -> None:
        """What was kept until now must not be given any more."""
        self.forgotten = self.tick()

    # -- reading

    def read(self, who: str, requests: Sequence[Record], *, via: str = "here") -> None:
        """Ask by batch, and find what the rows say."""
        records = self.ask(who, requests, via=via)
        self.check(requests, records, [self.true_answers(who, requests)], via=via)

    def ask(self, who: str, requests: Sequence[Record], *, via: str = "here") -> list[Record]:
        """The records of a batch."""
        reader, step = self.readers[who], self.tick()
        if via == "here":
            return post(reader.client, [*requests], reader.headers)
        place = self.beside if via == "beside" else self.places[via]
        records: list[Record] = place.call("ask", [*requests], reader.cookie, reader.headers, step)
        return records

    def true_answers(self, who: str, requests: Iterable[Record]) -> list[Said]:
        """What each is answered alone, now."""
        return [self.readers[who].ask_alone(request) for request in requests]

    def check(
        self, requests: Sequence[Record], records: Sequence[Record], allowed: Sequence[Sequence[Said]], *, via: str
    ) -> None:
        """Each record says what is allowed, and a kept one is not older than the rows."""
        for place, (request, record) in enumerate(zip(requests, records, strict=True)):
            said, words = (record["status"], record.get("body")), record["headers"].get("Cache-Status", "")
            assert said in [answers[place] for answers in allowed], (request, words)
            if "batchapi; hit" in words:
                self.hits[via] += 1
                self.check_age(request, int(record["headers"][RAN]))

    def check_age(self, request: Record, ran: int) -> None:
        """A kept answer is younger than every write to its tables, and than the last loss."""
        written = {table: self.wrote.get(table, 0) for table in TABLES[request["url"]]}
        assert ran > max(written.values()), (request, ran, written)
        assert ran > self.forgotten, (request, ran, self.forgotten)

    # -- writing

    def write(self, place: str, road: str, n: int) -> None:
        """Write at once; each statement is committed as Django does it."""
        self.places[place].call("write", road, n, self.text())
        self.note([road])

    def write_in_one(self, place: str, road: str, n: int) -> None:
        """Write in a transaction. Who hears of the commit may read at once, so it counts from before."""
        writer, step = self.places[place], self.tick()
        writer.call("begin", "atomic")
        try:
            writer.call("write", road, n, self.text())
        finally:
            writer.call("end", True)
        self.note([road], step=step)

    def text(self) -> str:
        """One that was never there."""
        return f"v{self.tick()}"

    def note(self, roads: Iterable[str], *, step: int | None = None) -> None:
        """These roads were walked to the end, and committed: now, or after an earlier step."""
        step = self.tick() if step is None else step
        for road in roads:
            self.wrote.update(dict.fromkeys(ROADS[road].tables, step))
            if road == LOGS_OUT:  # Now, while nobody else writes: Django deletes the session that it finds.
                for name in CALLERS:
                    self.read(f"{name}-session", REQUESTS[:1])

    # -- outages

    def wait_until_redis_is_back(self) -> None:
        """For both processes."""
        store, other = the_store(), self.places["process"]
        eventually(lambda: not store.is_away and not other.call("is_away"))


def new_client() -> Client:
    return Client(raise_request_exception=False)
