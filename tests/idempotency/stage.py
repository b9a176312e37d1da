"""Processes that are started for one batch each, on a database that outlives them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any, NamedTuple

from tests.rerun import ROOT

Item = dict[str, Any]


class Outcome(NamedTuple):
    """What became of a process that sent a batch."""

    ended: str  # "exit", "killed" or "stopped"
    pid: int
    status: int = 0  # of the outer answer
    records: dict[str, Item] = {}  # by id  # noqa: RUF012 # never changed
    code: str = ""  # of a refusal
    events: list[str] = []  # noqa: RUF012


def read_outcome(told: dict[str, Any]) -> Outcome:
    if told["ended"] != "exit":
        return Outcome(told["ended"], told["pid"])
    said = told["said"]
    records = {record["id"]: record for record in said["answer"].get("responses", ())}
    return Outcome("exit", told["pid"], said["status"], records, said["answer"].get("code", ""), said["events"])


class Stage:
    """The commands of `forks`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def do(self, name: str, **command: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": name, **command}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process that forks has ended; what it said is on stderr"
        return json.loads(line)

    def send(self, *items: Item, at: int | str | None = None, how: str = "SIGKILL", **command: Any) -> Outcome:
        """A batch from a new process, which is cut at an event, by its number or the beginning of its name."""
        cut = None if at is None else {"at": at, "how": how}
        return read_outcome(self.do("send", items=items, cut=cut, **command))

    def race(self, *items: Item, count: int) -> list[Outcome]:
        return [read_outcome(told) for told in self.do("race", items=items, count=count)]

    def resume(self, pid: int) -> Outcome:
        return read_outcome(self.do("resume", pid=pid))

    def kept(self) -> dict[str, int]:
        found: dict[str, int] = self.do("look")["said"]
        return found

    def wait_until_nobody_is_at_work(self) -> None:
        """What `let_time_pass` cannot do while somebody is in a transaction."""
        while self.do("is_held")["said"]:
            sleep(0.2)

    def let_time_pass(self) -> None:
        self.do("age")

    def reset(self) -> None:
        self.do("reset")


@contextmanager
def stage_on(database_url: str, **environment: str) -> Iterator[Stage]:
    """A stage whose rows are in an empty database."""
    ours = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings", "LOG_LEVEL": "CRITICAL"}
    clean = {name: value for name, value in os.environ.items() if name != "TEST_DATABASE_FOLDER"}
    command = [sys.executable, "-m", "tests.idempotency.forks"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env={**clean, **ours, **environment}, stdin=pipe, stdout=pipe, text=True
    ) as process:
        stage = Stage(process)
        try:
            stage.do("prepare")
            yield stage
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(10)
