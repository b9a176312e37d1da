"""The same batch sent twice: what is done is answered again, what failed is run again, and nothing happens twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batchapi.models import IdempotencyRecord
from tests.idempotency.asking import REPLAYED, ask, do, fates, let_time_pass, own, refusal, send
from tests.idempotency.views import CALLS, OUTCOMES, kept

pytestmark = [
    pytest.mark.urls("tests.idempotency.views"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


@pytest.fixture(params=[False, True], ids=["", "ATOMIC_REQUESTS"])
def _atomic_requests(request: pytest.FixtureRequest) -> Any:
    connection.settings_dict["ATOMIC_REQUESTS"] = request.param
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def without_mark(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for record in records:
        assert record["headers"].pop(REPLAYED, None) == "true"
    return records


@pytest.mark.usefixtures("_atomic_requests")
def test_a_resend_is_answered_as_the_first_time(client: Client):
    """Status, headers and body, byte by byte; the mark is the only difference."""
    items = [do("a"), do("b", "stream"), do("c", "204"), do("d", "409")]
    first = ask(client, *items)
    assert fates(first) == [(201, False), (200, False), (204, False), (409, False)]
    assert without_mark(ask(client, *items)) == first
    assert kept() == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert CALLS == ["a", "b", "c", "d"]


def test_without_a_key_everything_runs_again(client: Client):
    for _ in range(2):
        ask(client, do("a"), key=None)
    assert kept() == {"a": 2}
    assert not IdempotencyRecord.objects.exists()


def test_reads_are_asked_anew(client: Client):
    """They have no record; the key is about writes."""
    read = {"id": "r", "url": "/api/read/a/"}
    assert fates(ask(client, do("a"), read)) == [(201, False), (200, False)]
    assert fates(ask(client, do("a"), read)) == [(201, True), (200, False)]


@pytest.mark.usefixtures("_atomic_requests")
@pytest.mark.parametrize("end", ["crash", "503", "500", "elsewhere"])
def test_what_failed_is_taken_back_and_runs_again(client: Client, end: str):
    OUTCOMES["a"] = end
    first, second = ask(client, do("a"), do("b"))
    assert (first["status"], second["status"]) == (503 if end == "503" else 500, 201)
    assert kept() == {"b": 1}
    OUTCOMES.clear()
    assert fates(ask(client, do("a"), do("b"))) == [(201, False), (201, True)]
    assert kept() == {"a": 1, "b": 1}


def test_what_the_database_could_not_keep_is_no_answer(client: Client):
    """A view goes on after an error outside of a savepoint; under ATOMIC_REQUESTS Django itself drops its writes."""
    assert fates(ask(client, do("a", "swallow"))) == [(500, False)]
    assert fates(ask(client, do("a", "swallow"))) == [(500, False)]
    assert (kept(), CALLS) == ({}, ["a", "a"])


@pytest.mark.parametrize("end", ["401", "403", "408", "425", "429"])
def test_what_was_not_let_in_is_asked_again(client: Client, end: str):
    """A refusal that may be gone is not kept; what the view wrote all the same is, as if it had been sent alone."""
    OUTCOMES["a"] = end
    expected = int(end)
    assert fates(ask(client, do("a"))) == [(expected, False)]
    assert kept() == {"a": 1}
    OUTCOMES.clear()
    assert fates(ask(client, do("a"))) == [(201, False)]
    assert fates(ask(client, do("a"))) == [(201, True)]
    assert kept() == {"a": 2}


@pytest.mark.usefixtures("_atomic_requests")
def test_a_refusal_of_the_view_is_an_answer(client: Client):
    """What it wrote before stays or goes as if it had been sent alone."""
    assert fates(ask(client, do("a", "400"))) == [(400, False)]
    before = kept()
    assert before == ({} if connection.settings_dict["ATOMIC_REQUESTS"] else {"a": 1})
    assert fates(ask(client, do("a", "400"))) == [(400, True)]
    assert (kept(), CALLS) == (before, ["a"])


def test_a_hook_that_fails_after_the_commit_changes_nothing(client: Client):
    assert fates(ask(client, do("a", "hook"))) == [(201, False)]
    assert fates(ask(client, do("a", "hook"))) == [(201, True)]
    assert kept() == {"a": 1}


def test_later_ones_find_in_a_repeated_answer_what_they_found_in_the_first(client: Client):
    """Its body, its Location, and that it succeeded."""
    OUTCOMES["failing"] = "crash"
    items = [
        do("a"),
        {"id": "read", "url": "$a"},
        {"id": "post", "method": "POST", "url": "$a"},
        {"id": "read-again", "url": "$post"},
        do("failing", body={"said": None}, bind={"/said": "$a.body#/name"}),
        {"id": "if", "method": "POST", "url": "/api/read/if/", "if": "not $failing/$succeeded"},
    ]
    first = ask(client, *items)
    assert [record["status"] for record in first] == [201, 200, 201, 200, 500, 201]
    OUTCOMES.clear()
    second = ask(client, *items)
    assert fates(second) == [(201, True), (200, False), (201, True), (200, False), (201, False), (201, True)]
    assert [second[place]["body"] for place in (1, 3)] == [first[place]["body"] for place in (1, 3)]


def test_what_is_done_is_answered_whatever_it_depended_on_says_by_now(client: Client):
    """The row that it read first is gone, because it was removed."""
    look = {"id": "look", "url": "/api/remove/a/"}
    remove = {"id": "remove", "method": "DELETE", "url": "/api/remove/a/", "dependsOn": ["look"]}
    ask(client, do("a"), key=None)
    assert fates(ask(client, look, remove)) == [(200, False), (204, False)]
    assert fates(ask(client, look, remove)) == [(404, False), (204, True)]
    assert kept() == {"removed": 1}


def test_a_key_of_its_own_goes_before_the_batchs(client: Client):
    """It may come again in another batch, under another id."""
    item = do("a", **own("mine"))
    assert fates(ask(client, item, do("b"))) == [(201, False), (201, False)]
    assert fates(ask(client, item | {"id": "other"}, key=None)) == [(201, True)]
    assert fates(ask(client, item, do("b"))) == [(201, True), (201, True)]
    assert kept() == {"a": 1, "b": 1}


def test_a_key_on_a_read_is_nothing_to_us(client: Client):
    item = {"id": "r", "url": "/api/read/a/", **own('"')}
    assert [record["status"] for record in ask(client, item, item | {"id": "s"}, key=None)] == [404, 404]
    assert not IdempotencyRecord.objects.exists()


SYNTAX = [
    ("k", "k", True),
    ('"k"', "k", True),
    ('"a \\"b\\" \\\\ c"', '"a \\"b\\" \\\\ c"', True),
    ("x" * 255, '"' + "x" * 255 + '"', True),
    ("x" * 256, None, False),
    ('""', None, False),
    ('"', None, False),
    ("a b", None, False),
    ("a, b", None, False),
    ('"a";b', None, False),
    ('"é"', None, False),
    (" ", None, False),
]


@pytest.mark.parametrize(("key", "same", "is_good"), SYNTAX)
def test_what_a_key_may_be(client: Client, key: str, same: str | None, is_good: bool):
    """A string of RFC 9651, or the bare word that many clients send; one means the other."""
    if is_good:
        ask(client, do("a"), key=key)
        assert fates(ask(client, do("a"), key=same)) == [(201, True)]
    else:
        assert refusal(client, do("a"), key=key)[:2] == (400, "bad_header")
        inner = refusal(client, do("a", **own(key)), key=None)
        assert inner == (400, "bad_header", {"pointer": "#/requests/0/headers"})


OTHERS = {
    "body": [do("a", body={"said": "else"})],
    "method": [do("a") | {"method": "PUT"}],
    "url": [do("a", "202")],
    "header": [do("a", headers={"Prefer": "x"})],
    "id": [do("a") | {"id": "other"}],
    "group": [do("a", atomicityGroup="g")],
    "more": [do("a"), do("b")],
    "less": [],
}


@pytest.mark.parametrize("other", [name for name in OTHERS if name != "less"])
def test_another_batch_under_the_same_key_is_refused(client: Client, other: str):
    ask(client, do("a"))
    assert refusal(client, *OTHERS[other]) == (422, "key_reused", {"header": "Idempotency-Key"})
    assert kept() == {"a": 1}


def test_another_order_is_another_batch(client: Client):
    ask(client, do("a"), do("b"))
    assert refusal(client, do("b"), do("a"))[1] == "key_reused"
    assert refusal(client, do("a"), do("b"), ordering="relaxed")[1] == "key_reused"


def test_another_request_under_a_key_of_its_own_is_refused(client: Client):
    """And with it the batch, before anything has run."""
    ask(client, do("a", **own("mine")), key=None)
    changed = do("a", "202", **own("mine"))
    assert refusal(client, do("b"), changed, key=None) == (422, "key_reused", {"pointer": "#/requests/1/headers"})
    assert kept() == {"a": 1}


def test_two_of_one_batch_cannot_share_a_key(client: Client):
    twice = [do("a", **own("mine")), do("b", **own("mine"))]
    assert refusal(client, *twice, key=None) == (422, "key_reused", {"pointer": "#/requests/1/headers"})
    assert refusal(client, do("a", **own("k"))) == (422, "key_reused", {"pointer": "#/requests/0/headers"})


def test_callers_do_not_meet(client: Client, bob: Client):
    ask(client, do("a"))
    assert fates(ask(bob, do("a", "202"))) == [(202, False)]
    assert kept() == {"a": 2}


def test_a_key_of_nobody_is_ignored(client: Client):
    """An address is many people."""
    nobody = Client(raise_request_exception=False)
    assert fates(ask(nobody, do("a"), do("b", **own("mine")))) == [(401, False), (401, False)]
    assert not IdempotencyRecord.objects.exists()


def test_a_record_that_has_expired_is_not_there(client: Client):
    ask(client, do("a"))
    let_time_pass(expires=timezone.now() - timedelta(seconds=1))
    assert fates(ask(client, do("a", "202"))) == [(202, False)]
    assert fates(ask(client, do("a", "202"))) == [(202, True)]
    assert kept() == {"a": 2}


def test_answers_can_be_had_for_as_long_as_the_setting_says(client: Client):
    with override_settings(BATCHAPI={"IDEMPOTENCY_TTL": 100, "ENABLE_CACHING": False}):
        ask(client, do("a"), do("b", **own("mine")))
    for record in IdempotencyRecord.objects.all():
        assert 99 < (record.expires - record.created).total_seconds() <= 100


def test_a_new_secret_key_does_not_make_a_resend_another_request(alice: User, client: Client):
    with override_settings(SECRET_KEY="old"):
        client.force_login(alice)
        ask(client, do("a", **own("mine")), do("b"))
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"]):
        client.force_login(alice)
        assert fates(ask(client, do("a", **own("mine")), do("b"))) == [(201, True), (201, True)]
        assert refusal(client, do("a"))[1] == "key_reused"
    with override_settings(SECRET_KEY="new"):
        client.force_login(alice)
        assert refusal(client, do("b"))[1] == "key_reused"


def test_nothing_of_a_body_is_stored(client: Client):
    """Neither as it was sent nor as a plain digest, which could be guessed at."""
    ask(client, {"id": "a", "method": "POST", "url": "/api/read/a/", "body": {"card": "4711 0815"}})
    rows = [str(row) for row in IdempotencyRecord.objects.values()]
    assert len(rows) == 2
    assert not any("4711" in row for row in rows)


def test_cookies_are_not_stored(client: Client):
    """A cookie may be a credential. What the view wrote is done, and is not done again."""
    for end in ("cookie", "visit"):
        name = f"by-{end}"
        assert fates(ask(client, do(name, end), key=name)) == [(201, False)]
        [record] = ask(client, do(name, end), key=name)
        body = record["body"]
        assert (record["status"], body["code"], body["outcome"], body["executed"]) == (
            409,
            "no_stored_answer",
            "committed",
            True,
        )
    assert kept() == {"by-cookie": 1, "by-visit": 1}
    assert not any("biscuit" in str(row) for row in IdempotencyRecord.objects.values())


def test_a_login_has_no_record(client: Client):
    item = {"id": "l", "method": "POST", "url": "/api/login/"}
    for _ in range(2):
        assert fates(ask(client, item, do("a"), key="x"))[0] == (200, False)
    assert CALLS == ["login", "a", "login"]
    assert not any(b"s3cret" in bytes(row.body) for row in IdempotencyRecord.objects.all())


@pytest.mark.parametrize("end", ["201", "crash", "400", "cookie"])
def test_a_view_that_wants_no_transaction_is_not_called_again(client: Client, end: str):
    """Its crash is stored as well: what it wrote before is not taken back."""
    [first] = ask(client, do("a", end, view="loose"))
    [second] = ask(client, do("a", end, view="loose"))
    assert CALLS == ["a"]
    assert kept() == {"a": 1}
    if end == "cookie":
        assert (second["status"], second["body"]["outcome"]) == (409, "committed")
    else:
        assert without_mark([second]) == [first]
        assert end != "201" or first["body"]["atomic"] is False


def test_a_view_that_wants_no_transaction_and_lets_nobody_in_is_asked_again(client: Client):
    assert fates(ask(client, do("a", "429", view="loose"))) == [(429, False)]
    assert fates(ask(client, do("a", "429", view="loose"))) == [(429, False)]
    assert CALLS == ["a", "a"]


def test_a_view_that_was_called_and_did_not_come_back_is_not_called_again(client: Client):
    """Nobody knows what it did; later ones that depend on it do not run."""
    ask(client, do("a", view="loose"), do("b", dependsOn=["a"]))
    IdempotencyRecord.objects.filter(part="id:b").delete()
    IdempotencyRecord.objects.filter(part="id:a").update(state="running")
    first, second = ask(client, do("a", view="loose"), do("b", dependsOn=["a"]))
    assert (first["status"], first["body"]["code"], first["body"]["outcome"]) == (409, "no_stored_answer", "unknown")
    assert second["body"]["code"] == "dependency_failed"
    assert kept() == {"a": 1, "b": 1}


def test_async_views_are_called_once(client: Client):
    items = [{"id": name, "method": "POST", "url": f"/api/async/{name}/"} for name in "ab"]
    assert fates(ask(client, *items, ordering="relaxed")) == [(201, False)] * 2
    assert fates(ask(client, *items, ordering="relaxed")) == [(201, True)] * 2
    assert kept() == {"a": 1, "b": 1}


def test_what_is_no_view_is_looked_for_again(client: Client):
    item = {"id": "x", "method": "POST", "url": "/api/nowhere/"}
    for _ in range(2):
        assert fates(ask(client, item, do("a")))[0] == (404, False)


def test_a_key_in_use_is_refused(client: Client):
    """Its holder may be at work, or be dead: nobody can tell before its time is over."""
    ask(client, do("a"))
    let_time_pass(lease=timezone.now() + timedelta(seconds=9))
    response = send(client, do("a"))
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (409, "key_in_use", "1")
    assert refusal(client, do("b", **own("k")), key=None)[1] == "key_reused", "the wrong request is told so first"
    let_time_pass()
    assert fates(ask(client, do("a"))) == [(201, True)]


@pytest.mark.usefixtures("_atomic_requests")
def test_statements(client: Client):
    """Three for the batch, two for each write, two for each group of them. None without a key."""

    def count(*items: dict[str, Any], key: str | None) -> int:
        with CaptureQueriesContext(connection) as queries:
            ask(client, *items, key=key)
        return sum("idempotencyrecord" in query["sql"] for query in queries)

    group = [do(name, atomicityGroup="gg") for name in "defgh"]
    assert count(*map(do, "abc"), *group, key=None) == 0
    assert count({"id": "r", "url": "/api/read/a/"}, key="x") == 0
    assert count(*map(do, "abc"), key="y") == 3 + 2 * 3
    assert count(*group, key="z") == 3 + 2
    assert count(*map(do, "abc"), *group, key="z2") == 3 + 2 * 4
    look = connection.features.has_select_for_update_skip_locked  # for whoever is still in a transaction with the key
    assert count(*map(do, "abc"), *group, key="z2") == 4 + look, "a resend that has nothing to run"
