"""One answer for several processes: computed once, also where the one that computes it is killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from batchapi.store import Store
from tests.cache.asking import ask
from tests.cache.views import RAN
from tests.cache.views_flight import Flight

pytestmark = [
    pytest.mark.urls("tests.cache.views_flight"),
    pytest.mark.usefixtures("store"),
    pytest.mark.parametrize("store", ["redis"], indirect=True),
]
ROOT = Path(__file__).resolve().parent.parent.parent
CODE = """
import json, sys
import django; django.setup()
from django.test import Client
from tests.cache.asking import ask
from tests.cache.views import RAN
from tests.cache.views_flight import Flight
Flight.start()
Flight.pause = float(sys.argv[1])
run = Flight.run
def telling(name):
    print("running", flush=True)
    return run(name)
Flight.run = telling
print("ready", flush=True)
sys.stdin.readline()
[record] = ask("/api/public/a/")
print(json.dumps([record["status"], record["body"], RAN["a"]]), flush=True)
"""


@contextmanager
def process(*, pause: float, deadline: float = 25.0) -> Iterator["subprocess.Popen[str]"]:
    """A process that asks as soon as it is told to, and whose view takes some seconds; it says `running` then."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.cache.settings_process",
        "CACHE_URL": settings.CACHES["default"]["LOCATION"],
        "CACHE_PREFIX": settings.CACHES["default"].get("KEY_PREFIX", ""),
        "DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "DEADLINE": str(deadline),
        "COVERAGE_PROCESS_CONFIG": "",
    }
    started = subprocess.Popen(
        [sys.executable, "-c", CODE, str(pause)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def say_go(started: "subprocess.Popen[str]") -> None:
    assert started.stdin is not None
    started.stdin.write("\n")
    started.stdin.flush()


def line_of(started: "subprocess.Popen[str]") -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def told(started: "subprocess.Popen[str]") -> Any:
    """The status, the body, and how often its view ran."""
    lines = iter(lambda: line_of(started), "running")
    line = next(lines, "") or line_of(started)
    return json.loads(line)


@pytest.fixture(autouse=True)
def _ready() -> None:
    RAN.clear()
    Flight.start()


def test_two_processes_compute_it_once() -> None:
    with process(pause=0.5) as one, process(pause=0.5) as other:
        assert [line_of(one), line_of(other)] == ["ready", "ready"]
        say_go(one)
        say_go(other)
        answers = [told(one), told(other)]
    assert [answer[:2] for answer in answers] == [[200, ["a", 0]]] * 2
    assert sorted(answer[2] for answer in answers) == [0, 1]


def test_who_is_killed_holds_nobody_up_for_longer_than_its_claim(store: Store) -> None:
    with process(pause=60.0, deadline=1.5) as holder:
        assert line_of(holder) == "ready"
        say_go(holder)
        assert line_of(holder) == "running"
        holder.kill()
        holder.wait()
    begun = time.monotonic()
    [record] = ask("/api/public/a/", client=Client(raise_request_exception=False))
    assert (record["status"], RAN["a"]) == (200, 1)
    assert time.monotonic() - begun < 9, "the claim did not end with the time of its batch"
