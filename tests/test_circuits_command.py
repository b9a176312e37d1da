"""`manage.py batch_circuits`: an operator sees what is left alone, and isolates and resets views in all processes."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings
from redis import Redis

from batchapi.conf import get_settings
from batchapi.execute.stack import find_circuits
from batchapi.store import Call, Circuits
from tests.execute.lanes import with_settings

pytestmark = pytest.mark.urls("tests.execute.failing")


@pytest.fixture
def circuits(redis_url: str) -> Iterator[Circuits]:
    """Those of all processes."""
    with Redis.from_url(redis_url) as server:
        server.flushall()
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url}
    given = {**settings.BATCHAPI, "CIRCUIT_THRESHOLD": 0.5, "CIRCUIT_MIN_CALLS": 3}
    with override_settings(CACHES={"default": cache}, BATCHAPI=given):
        found = find_circuits(get_settings())
        assert found is not None
        yield found


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("batch_circuits", *arguments, stdout=out)
    return out.getvalue().strip()


def test_there_is_nothing_to_show_where_nothing_fails(circuits: Circuits) -> None:
    assert run() == "All circuits are closed."
    assert run("--json") == "[]"


def test_it_shows_what_has_failed_how_often(circuits: Circuits) -> None:
    for succeeded in (True, False, False):
        call = circuits.begin("fail", 1.0)
        assert isinstance(call, Call)
        call.end(succeeded)
    circuits.tell()
    assert "fail: open since 20" in (shown := run())
    assert "2 of 3 calls had failed, probed in" in shown
    [state] = json.loads(run("--json"))
    assert {name: state[name] for name in ("route", "word", "calls", "failures")} == {
        "route": "fail",
        "word": "open",
        "calls": 3,
        "failures": 2,
    }


def test_an_operator_isolates_and_resets(circuits: Circuits) -> None:
    assert "fail: isolated since 20" in run("--isolate", "fail")
    assert isinstance(circuits.begin("fail", 1.0), float | int)
    assert run("--reset", "fail") == "All circuits are closed."
    assert isinstance(circuits.begin("fail", 1.0), Call)


@pytest.mark.usefixtures("circuits")
def test_a_view_that_does_not_exist_is_not_isolated() -> None:
    with pytest.raises(CommandError, match=r"There is no view of the name 'fall'\. Did you mean fail"):
        run("--isolate", "fall")


def test_it_says_when_redis_is_away(redis_url: str) -> None:
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    given = {**settings.BATCHAPI, "CIRCUIT_THRESHOLD": 0.5}
    with (
        override_settings(CACHES={"default": cache}, BATCHAPI=given),
        pytest.raises(CommandError, match="not be reached"),
    ):
        run("--isolate", "fail")


def test_it_ends_with_2_where_each_process_has_its_own() -> None:
    with with_settings(CIRCUIT_THRESHOLD=0.5), pytest.raises(CommandError, match="circuits of its own") as caught:
        run()
    assert caught.value.returncode == 2


def test_it_says_so_where_no_circuit_ever_opens() -> None:
    with pytest.raises(CommandError, match="CIRCUIT_THRESHOLD is None"):
        run()


def test_help_teaches(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        call_command("batch_circuits", "--help")
    assert caught.value.code == 0
    assert "--isolate session-stats" in capsys.readouterr().out
