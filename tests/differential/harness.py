"""An example in, nothing out if both arms agree; else an AssertionError that shows the requests and the differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.handlers.wsgi import WSGIHandler

from tests.differential.arms import Answer, Record, ask_alone, ask_together, effective_order
from tests.differential.asks import CSRF_COOKIE, SESSION_COOKIE, Ask, Caller, table
from tests.differential.browser import Browser
from tests.differential.cast import CALLERS
from tests.differential.differences import Anonymous, of_answer, of_worlds, secrets_of
from tests.differential.stage import Stage

RANDOM_COOKIES = (SESSION_COOKIE, CSRF_COOKIE)
Reached = Callable[[Ask, Answer], None]  # told of every answer, for statistics


@dataclass(frozen=True, kw_only=True, repr=False)
class Harness:
    """Plays examples on a stage."""

    stage: Stage
    known: frozenset[str]  # keys, tokens and hashes that are there before anything happens, the same in both arms
    alone: WSGIHandler
    together: WSGIHandler
    is_loose: bool = False  # what runs again may be logged twice, a copy is not logged, and nobody minds the order

    @classmethod
    def on(cls, stage: Stage, *, is_loose: bool = False) -> "Harness":
        """A harness with one handler, so one load of the middleware, for each arm."""
        stage.set()
        known = frozenset(secrets_of(stage.seen())) | {value for caller in CALLERS for value in caller.cookies.values()}
        return cls(stage=stage, known=known, alone=WSGIHandler(), together=WSGIHandler(), is_loose=is_loose)

    def check(
        self, caller: Caller, asks: Sequence[Ask], reached: Reached | None = None, *, rounds: int = 1
    ) -> list[Record]:
        """Fail if anything differs. In a second round all is asked once more; returns what the batches answered."""
        answers, records, differences = self.play(caller, asks, rounds)
        for ask, answer in zip([*asks] * rounds, answers, strict=True):
            if reached:
                reached(ask, answer)
        assert not differences, "\n".join(
            ["", table(caller, asks), "differ in", *(f"  {line}" for line in differences)]
        )
        return records

    def play(
        self, caller: Caller, asks: Sequence[Ask], rounds: int = 1
    ) -> tuple[list[Answer], list[Record], list[str]]:
        """The answers of both arms, and all differences."""
        self.stage.set()
        order = effective_order(caller, asks)
        self.stage.set()
        browser, other = Browser(caller.cookies), Browser(caller.cookies)
        answers = [answer for _ in range(rounds) for answer in ask_alone(self.alone, caller, asks, order, browser)]
        seen = self.stage.seen()
        self.stage.set()
        records = [record for _ in range(rounds) for record in ask_together(self.together, caller, asks, other)]
        seen_together = self.stage.seen()
        answers, alone = self.tell(answers, seen, browser)
        records, together = self.tell_records(records, seen_together, other)
        drop_unlike(alone, together, records)
        if self.is_loose:
            for name in ("log", "happened"):
                alone[name] = set(alone[name])
                together[name] = alone[name].intersection(together[name])
        lines = [
            f"{place}: {line}"
            for place, (ask, answer, record) in enumerate(zip([*asks] * rounds, answers, records, strict=True))
            for line in of_answer(ask, answer, record)
        ]
        return answers, records, [*lines, *of_worlds(alone, together)]

    def tell(
        self, answers: list[Answer], seen: dict[str, Any], browser: Browser
    ) -> tuple[list[Answer], dict[str, Any]]:
        """Answers and world without what is random."""
        named = Anonymous(self.known, seen, [answer.body for answer in answers], random_cookies(browser))
        return [replace(answer, body=named(answer.body)) for answer in answers], world(named, seen, browser)

    def tell_records(
        self, records: list[Record], seen: dict[str, Any], browser: Browser
    ) -> tuple[list[Record], dict[str, Any]]:
        """Records and world without what is random."""
        named = Anonymous(self.known, seen, [record.raw_body for record in records], random_cookies(browser))
        told = [replace(record, raw_body=named(record.raw_body)) for record in records]
        return told, world(named, seen, browser)


def random_cookies(browser: Browser) -> list[str]:
    """The values of session and CSRF cookies."""
    return [value for (name, _), (value, _) in browser.cookies.items() if name in RANDOM_COOKIES]


def world(named: Anonymous, seen: dict[str, Any], browser: Browser) -> dict[str, Any]:
    """What was seen, and the cookies, without what is random."""
    cookies = {f"{name} for {path}": list(cookie) for (name, path), cookie in sorted(browser.cookies.items())}
    told: dict[str, Any] = named({"cookies": cookies, **seen})
    told["rows"] = {table: sorted(rows, key=repr) for table, rows in told["rows"].items()}
    return told


def drop_unlike(alone: dict[str, Any], together: dict[str, Any], records: list[Record]) -> None:
    """What is logged otherwise in a batch, knowingly.

    A path that nobody knows is refused before there is a request to log. A password that comes with every request
    (bob's) is looked up once, so it also fails once.
    """
    refused = any(record.raw_body.startswith(b'{"type":"urn:batchapi:not_') for record in records)
    for told in (alone, together):
        told["bob failed"] = any(is_failure_of_bob(line) for line in told["log"])
        told["log"] = [line for line in told["log"] if not is_failure_of_bob(line)]
        told["log"] = [line for line in told["log"] if not (refused and "Not Found" in line)]


def is_failure_of_bob(line: str) -> bool:
    return line.startswith("user_login_failed") and "'bob'" in line
