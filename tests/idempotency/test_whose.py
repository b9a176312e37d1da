"""What a key covers, and whom it belongs to: nobody gets what was done for another, or somewhere else."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings

from tests.idempotency.asking import Item, ask, do, fates
from tests.idempotency.views import CALLS, kept
from tests.idempotency.views_whose import ByService

pytestmark = [
    pytest.mark.urls("tests.idempotency.views_whose"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
HERE: Item = {"id": "a", "method": "POST", "url": "write/a/201/", "body": {}}


def post(client: Client, url: str, *items: Item, **headers: str) -> Any:
    """What a batch under one and the same key is answered."""
    headers = {"Idempotency-Key": "k", **headers}
    return client.post(url, {"requests": items}, content_type="application/json", headers=headers)


def test_two_models_may_have_equal_primary_keys(client: Client, alice: User) -> None:
    device = Group.objects.create(pk=alice.pk, name="device")
    who: Item = {"method": "POST", "url": "/api/who/"}
    first = post(client, "/api/batch-of-devices/", who).json()
    second = post(Client(), "/api/batch-of-devices/", who, **{"X-Device": str(device.pk)}).json()
    assert [answer["responses"][0]["body"] for answer in (first, second)] == [{"who": "User"}, {"who": "Group"}]
    assert CALLS == ["User", "Group"]


def test_a_relative_url_is_another_one_elsewhere(client: Client) -> None:
    assert post(client, "/api/batch/", HERE).status_code == 200
    assert post(client, "/elsewhere/batch/", HERE).json()["code"] == "key_reused"
    assert kept() == {"a": 1}


@override_settings(ALLOWED_HOSTS=["*"])
def test_so_is_every_url_on_another_host(client: Client) -> None:
    """It may belong to another tenant."""
    assert post(client, "/api/batch/", do("a"), Host="one.example").status_code == 200
    assert post(client, "/api/batch/", do("a"), Host="two.example").json()["code"] == "key_reused"
    assert kept() == {"a": 1}


def test_a_key_is_not_ignored_because_nobody_can_say_whose_it_is(client: Client) -> None:
    """The service that knows who is asking is away, so nothing runs; later it is known, and done before."""
    assert fates(post(client, "/api/batch-of-service/", do("a")).json()["responses"]) == [(201, False)]
    ByService.away = 1
    assert post(client, "/api/batch-of-service/", do("a")).status_code == 503
    assert fates(post(client, "/api/batch-of-service/", do("a")).json()["responses"]) == [(201, True)]
    assert kept() == {"a": 1}


def test_a_branch_that_was_not_taken_stays_untaken(client: Client) -> None:
    """What was made meanwhile would turn the condition round, and both branches would be done."""
    items = (
        {"id": "look", "url": "/api/read/a/"},
        do("a", **{"if": "not $look/$succeeded"}),
        do("b", **{"if": "$look/$succeeded"}),
    )
    assert [record["status"] for record in ask(client, *items)] == [404, 201, 424]
    assert fates(ask(client, *items)) == [(200, False), (201, True), (424, True)]
    assert kept() == {"a": 1}
