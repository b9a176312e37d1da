"""`/livez` says that the process answers; `/readyz` says which store is away, at once and not why."""

import json
import socket
import time

import pytest
from django.test import Client
from pytest_django import Settings

from project.stores import read_caches
from tests.project.processes import python
from tests.servers import redis_server

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _the_project(settings: Settings):
    settings.ROOT_URLCONF = "project.urls"


def use_redis(settings: Settings, url: str) -> None:
    settings.REDIS_URL = url
    settings.CACHES = read_caches(url)


def readiness(client: Client) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


def test_a_process_that_answers_is_alive(client: Client):
    answer = client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_without_redis_the_database_is_all_it_needs(client: Client, settings: Settings):
    settings.REDIS_URL = ""
    assert readiness(client) == (200, {"status": "ok", "database": "ok"})


def test_it_follows_redis_down_and_up_again(client: Client, settings: Settings):
    with redis_server() as url:
        use_redis(settings, url)
        assert readiness(client) == (200, {"status": "ok", "database": "ok", "redis": "ok"})

    assert readiness(client) == (503, {"status": "unavailable", "database": "ok", "redis": "away"})
    assert client.get("/livez").status_code == 200


def test_a_redis_that_never_answers_is_away_within_a_moment(client: Client, settings: Settings):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        use_redis(settings, f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        started = time.monotonic()

        assert readiness(client) == (503, {"status": "unavailable", "database": "ok", "redis": "away"})
        assert time.monotonic() - started < 1


@pytest.mark.parametrize("url", ["postgres://nobody:secret@127.0.0.1:1/none", "sqlite:////no/such/folder/db.sqlite3"])
def test_a_database_that_is_away_is_named_and_nothing_else_is_told(url: str):
    code = """
import json, django; django.setup()
from django.test import Client
answers = [Client(SERVER_NAME="localhost").get(path) for path in ("/readyz", "/livez")]
print(json.dumps([[answer.status_code, answer.json()] for answer in answers]))
"""
    run = python("-c", code, DATABASE_URL=url)

    assert json.loads(run.stdout) == [[503, {"status": "unavailable", "database": "away"}], [200, {"status": "ok"}]]


def test_probes_only_look(client: Client):
    assert client.post("/livez").status_code == 405
    assert client.post("/readyz").status_code == 405
    assert client.head("/readyz").status_code == 200
