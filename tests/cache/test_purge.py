"""`manage.py purge_batch_cache`: what is forgotten, what is counted, and how it is told."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from batchapi.management.commands import purge_batch_cache
from batchapi.store import Store
from batchapi.store.shared import RedisStore
from tests.cache.asking import fates
from tests.factories import UserFactory

pytestmark = pytest.mark.urls("tests.cache.views")

NAMES, MINE = "tests.cache.views.Names", "tests.cache.views.Mine"
URLS = "/api/names/", "/api/mine/"


def purge(*arguments: str) -> str:
    out = StringIO()
    call_command("purge_batch_cache", *arguments, stdout=out)
    return out.getvalue().strip()


def filled() -> tuple[Client, Client]:
    """Two answers are kept for alice, two for nobody; both as clients."""
    alice, nobody = Client(), Client()
    alice.force_login(UserFactory(username="alice", pk=7))
    for client in (alice, nobody):
        assert fates(*URLS, client=client) == ["fwd=miss; stored"] * 2
    return alice, nobody


@pytest.mark.parametrize(
    ("arguments", "what", "of_alice", "of_nobody"),
    [
        (["--all"], "everything", ["stale", "stale"], ["stale", "stale"]),
        (["--route", NAMES], f"route {NAMES}", ["stale", "hit"], ["stale", "hit"]),
        (["--user", "7"], "user 7", ["stale", "stale"], ["hit", "hit"]),
        (["--table", "auth_group"], "table auth_group", ["stale", "stale"], ["stale", "stale"]),
        (["--table", "auth.Group"], "table auth_group", ["stale", "stale"], ["stale", "stale"]),
        (["--table", "auth_permission"], "table auth_permission", ["hit", "hit"], ["hit", "hit"]),
        (["--route", NAMES, "--route", MINE], f"route {NAMES}, route {MINE}", ["stale"] * 2, ["stale"] * 2),
    ],
)
def test_what_is_forgotten(
    redis_store: RedisStore, arguments: list[str], what: str, of_alice: list[str], of_nobody: list[str]
) -> None:
    alice, nobody = filled()
    expected = (of_alice + of_nobody).count("stale")
    assert purge(*arguments, "--dry-run") == f"{expected} answers would be forgotten: {what}."
    assert fates(*URLS, client=nobody) == ["hit", "hit"], "a dry run forgets nothing"
    assert purge(*arguments, "--no-input") == f"Forgotten: {what}."
    assert [fate.partition(";")[0].removeprefix("fwd=") for fate in fates(*URLS, client=alice)] == of_alice
    assert [fate.partition(";")[0].removeprefix("fwd=") for fate in fates(*URLS, client=nobody)] == of_nobody


def test_it_asks_before_it_forgets(redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, nobody = filled()
    asked: list[str] = []

    def say_no(question: str) -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr("builtins.input", say_no)
    assert purge("--all") == "Nothing was forgotten."
    assert asked == ["Forget everything, in all processes? [y/N] "]
    assert fates(*URLS, client=nobody) == ["hit", "hit"]
    monkeypatch.setattr("builtins.input", lambda _: "Y")
    assert purge("--all") == "Forgotten: everything."


def test_as_json(redis_store: RedisStore) -> None:
    filled()
    told = json.loads(purge("--user", "7", "--dry-run", "--json"))
    assert told == {"dry_run": True, "what": "user 7", "entries": 2}
    assert json.loads(purge("--user", "7", "--json")) == {"dry_run": False, "what": "user 7", "purged": True}
    assert json.loads(purge("--all", "--dry-run", "--json"))["entries"] == 2, "what is outdated does not count"


def test_counting_shows_how_far_it_is(
    redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled()
    monkeypatch.setattr(purge_batch_cache, "PROGRESS_EVERY", 2)
    purge("--route", NAMES, "--dry-run")
    assert "looked at 2 answers" in capsys.readouterr().err


def test_forgetting_takes_one_trip_however_much_there_is(redis_store: RedisStore) -> None:
    filled()
    before = commands(redis_store)
    purge("--user", "7", "--table", "auth_group", "--no-input")
    after = commands(redis_store)
    done = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert {name: count for name, count in done.items() if name != "info"} == {"hincrby": 2, "multi": 1, "exec": 1}


def commands(store: RedisStore) -> dict[str, int]:
    """How often the server has run each command."""
    stats: dict[str, Any] = store.link.client.info("commandstats")  # type: ignore[assignment]
    return {name.removeprefix("cmdstat_"): told["calls"] for name, told in stats.items()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Say what to forget: --all, or any of --route, --user and --table."),
        (["--route", "tests.cache.views.Nanes"], f"Did you mean {NAMES}"),
        (["--route", "nothing like it"], "The names are those in your urls.py."),
        (["--table", "auth_grup"], "'auth_grup' is no model and no table of this project"),
        (["--user", "alice"], "--user takes a primary key; 'alice' cannot be one."),
    ],
)
def test_what_does_not_exist_is_told(redis_store: RedisStore, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError) as refusal:
        purge(*arguments, "--no-input")
    assert words in str(refusal.value)


def test_redis_that_is_away_is_told(redis_store: RedisStore) -> None:
    redis_store.link.outage.begin(ConnectionError("cut"))
    for more in (["--no-input"], ["--dry-run"]):
        with pytest.raises(CommandError, match="Redis"):
            purge("--all", *more)


def test_a_cache_in_the_memory_of_each_process_cannot_be_reached(store: Store) -> None:
    if store.is_shared:
        assert purge("--all", "--no-input") == "Forgotten: everything."
        return
    with pytest.raises(CommandError, match="in the memory of each process") as refusal:
        purge("--all", "--no-input")
    assert refusal.value.returncode == 2
