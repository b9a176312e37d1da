"""A batch whose answers nobody waits for any more: what runs is ended, what waits never begins."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import RequestFactory

from batchapi.answer import answer_batch
from batchapi.conf import get_settings
from batchapi.execute.idempotency.answers import NOTHING
from batchapi.execute.runner import execute_plan
from batchapi.execute.stack import build_stack
from batchapi.execute.threads import pool
from batchapi.parent import Parent
from batchapi.parse import parse_batch
from batchapi.plan import plan_batch
from tests.execute.slow import HAPPENED, Told, ask, do, kept, late, let_go, wait_until

pytestmark = [
    pytest.mark.urls("tests.execute.slow"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]


def a_parent() -> Parent:
    request = RequestFactory().post("/api/batch/")
    request.user = AnonymousUser()
    request.session = {}  # type: ignore[assignment] # no view asks for it
    parent = Parent.from_request(request)
    del parent.attributes["session"]
    return parent


def answers_of(*requests: dict[str, Any]) -> Any:
    """The answers as they become final; nothing has run yet."""
    parent, limits = a_parent(), get_settings()
    plan = plan_batch(parse_batch({"requests": list(requests)}, parent=parent, limits=limits.limits), rules=None)
    stack = build_stack(parent, limits, NOTHING)
    return execute_plan(plan, stack, correlation_id="b", limits=limits.lanes, identify=lambda: "somebody", deadline=inf)


@pytest.mark.parametrize("last", ["slow", "atomic,write:b,hold", "nap:0.3,write:b"])
def test_what_runs_is_ended_and_what_waits_never_begins(last: str):
    ask(do("read"))  # There is an owner.
    answers = answers_of(do("write:a"), late(last), do("write:c"))
    assert next(answers).status == 200
    answers.close()
    let_go()
    assert kept() == {"a"}
    assert "called write:c" not in HAPPENED
    connection.ensure_connection()
    assert ask(do("write:d")) == [Told(200)]


def test_when_the_answer_cannot_be_rendered_nothing_runs_any_more_as_the_exception_comes():
    """Whoever handles it has what stands in its traceback, and what ran beside it would go on as long as that."""
    ask(do("read"))
    settings = get_settings()
    broken: Any = "a limit that no length can be held against"
    settings = replace(settings, limits=replace(settings.limits, MAX_RESPONSE_BYTES=broken))
    requests = [do("write:a"), late("hold"), do("write:c")]
    with pytest.raises(TypeError, match="not supported between") as raised:
        answer_batch({"requests": requests}, parent=a_parent(), settings=settings, identify=lambda: "somebody")
    assert raised.tb
    let_go()
    wait_until(lambda: not pool.working)
    assert kept() == {"a"}
    assert "called write:c" not in HAPPENED
