"""Keys where nobody commits: in a TestCase, in code that has a transaction open; and batches without HTTP."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, RequestFactory, TestCase

from batchapi import EnvelopeError, get_batch_processor, handle_batch_request
from batchapi.models import IdempotencyRecord
from tests.factories import UserFactory
from tests.idempotency.asking import REPLAYED, ask, do, fates, own
from tests.idempotency.views import OUTCOMES, kept

pytestmark = pytest.mark.urls("tests.idempotency.views")


class InATestCase(TestCase):
    """What a project's own tests do."""

    def setUp(self) -> None:
        self.client = Client(raise_request_exception=False)
        self.client.force_login(UserFactory())
        OUTCOMES.clear()

    def test_everything_is_as_outside(self) -> None:
        items = [do("a"), do("b", "crash"), do("l", view="loose"), do("c", atomicityGroup="g")]
        assert fates(ask(self.client, *items)) == [(201, False), (500, False), (201, False), (201, False)]
        assert fates(ask(self.client, *items)) == [(201, True), (500, False), (201, True), (201, True)]
        assert kept() == {"a": 1, "l": 1, "c": 1}

    def test_what_the_database_could_not_keep_harms_nobody(self) -> None:
        assert fates(ask(self.client, do("a", "swallow"), do("b"))) == [(500, False), (201, False)]
        assert kept() == {"b": 1}


def records_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["responses"]
    return found


@pytest.mark.django_db(transaction=True)
def test_a_processor_heeds_keys_of_sub_requests(alice: User):
    """They are its user's."""
    payload = {"requests": [do("a", **own("mine"))]}
    assert fates(records_of(get_batch_processor(user=alice).handle(payload))) == [(201, False)]
    assert fates(records_of(get_batch_processor(user=alice).handle(payload))) == [(201, True)]
    assert fates(records_of(get_batch_processor(user=UserFactory()).handle(payload))) == [(201, False)]
    get_batch_processor().handle(payload)  # Nobody's keys are ignored.
    assert kept() == {"a": 2}
    with pytest.raises(EnvelopeError, match="Something else"):
        get_batch_processor(user=alice).handle({"requests": [do("a", "202", **own("mine"))]})


@pytest.mark.django_db(transaction=True)
def test_the_key_of_a_pages_request_is_about_the_page(alice: User):
    request = RequestFactory().post("/page/", headers={"Idempotency-Key": "k"})
    for _ in range(2):
        handle_batch_request(request, {"requests": [do("a")]}, as_user=alice)
    assert kept() == {"a": 2}


@pytest.mark.django_db(transaction=True)
def test_a_record_goes_with_the_transaction_that_it_was_made_in(alice: User):
    """What was rolled back runs again."""
    processor, payload = get_batch_processor(user=alice), {"requests": [do("a", **own("mine"))]}
    with transaction.atomic():
        processor.handle(payload)
        assert REPLAYED in records_of(processor.handle(payload))[0]["headers"]
        transaction.set_rollback(True)
    assert (kept(), IdempotencyRecord.objects.count()) == ({}, 0)
    assert fates(records_of(processor.handle(payload))) == [(201, False)]
