"""Schemathesis asks the endpoint what docs/openapi.json says of it, and what it does not.

Through Django's whole WSGI handler and on a real database, anonymously and as a user. All checks of Schemathesis run
that are about one request; what a JSON schema cannot say of a batch is put right before it is sent, or left out, each
with its reason here.
"""

import copy
import os
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, settings
from rest_framework.authtoken.models import Token
from schemathesis.config import SchemathesisConfig

from batchapi.parse.headers import REFUSED
from tests.conftest import IS_CI
from tests.contract.document import DOCUMENT, PATH
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

URLS = ("/api/stats/", "sessions/", "/api/users/me/", "/nowhere/", "/api/sessions/x/messages/")
ALIASES = ("path", "relative_url", "uri", "requestId", "referenceId", "depends_on", "waitFor")
IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EXAMPLES = settings().max_examples if IS_DEEP else 60  # Each is a batch, and each takes some 20 ms to be thought of.
CHECKS = {
    # What is refused is refused with one of the document's own statuses, and never accepted.
    "negative_data_rejection": {"expected-statuses": [400, 405, 406, 413, 415]},
    "positive_data_acceptance": {"expected-statuses": [200]},
    # One endpoint without resources: nothing is made that could be asked for, or be gone.
    "use_after_free": {"enabled": False},
    "ensure_resource_availability": {"enabled": False},
    # Everybody may send a batch; each view says its own 401 in its own record.
    "ignored_auth": {"enabled": False},
}


def schema(*, is_complete: bool) -> Any:
    """The document as Schemathesis reads it, with every value of every member by turns if it is to be complete."""
    document = copy.deepcopy(DOCUMENT)
    operation = document["paths"][PATH]["post"]
    # A key that came before with another batch is refused, and no schema can say which did.
    operation["parameters"] = [told for told in operation["parameters"] if told["name"] != "Idempotency-Key"]
    # An alias beside a member that is there is not read, so not refused: "the first one that is there".
    record = document["components"]["schemas"]["SubRequest"]
    record["properties"] = {name: told for name, told in record["properties"].items() if name not in ALIASES}
    record["anyOf"] = [{"required": ["url"]}]
    config = SchemathesisConfig.from_dict(
        {
            "base-url": "http://testserver",
            "generation": {"mode": "all", "max-examples": EXAMPLES, "deterministic": IS_CI},
            "phases": {"coverage": {"enabled": is_complete}},
            "checks": CHECKS,
        }
    )
    loaded = schemathesis.openapi.from_dict(document, config=config)
    loaded.app = WSGIHandler()
    return loaded


def repair(body: Any) -> Any:
    """A batch of the document's form as one that makes sense, by what no schema can say.

    Ids are unique, dependencies and references name somebody, in no circle; URLs lead to routes that may be in a group.
    """
    items = body["requests"] if isinstance(body, dict) else body
    for index, item in enumerate(items):
        item["id"] = f"i{index}" if index % 2 else index
        item["url"] = URLS[index % len(URLS)]
        given = item.get("headers") or {}
        item["headers"] = {name: text for name, text in given.items() if is_harmless(name, text)}
        if index == 0:
            for name in ("dependsOn", "if", "bind", "atomicityGroup"):
                item.pop(name, None)
            continue
        if item.get("dependsOn") is not None:
            item["dependsOn"] = ["0", 0] if isinstance(item["dependsOn"], list) else 0
        if item.get("if") is not None:
            item["if"] = "not $0/$succeeded" if item["if"].startswith("not") else "$0/$succeeded"
        if item.get("bind") is not None:
            item["bind"] = {place: "$0.body#/id" for place in item["bind"] if place.startswith("/")}
        if item.get("atomicityGroup") is not None:
            item["atomicityGroup"] = "g"
    return body


def is_harmless(name: str, value: Any) -> bool:
    """Whether a header is welcome whatever the rest of the batch is."""
    return name.lower() not in (REFUSED | {"authorization", "content-type"}) and "$" not in str(value)


def check(case: Any, **headers: str) -> None:
    """Send what Schemathesis thought of, and hold the answer to the document."""
    if case.meta.generation.mode.is_positive:
        case.body = repair(case.body)
    case.call_and_validate(headers=headers)


@pytest.fixture
def authorization(db: None) -> str:
    return f"Token {Token.objects.create(user=UserFactory()).key}"


@schema(is_complete=True).parametrize()
def test_the_endpoint_is_as_documented_for_anybody(case: Any):
    check(case)


@schema(is_complete=False).parametrize()
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # One token is enough.
def test_the_endpoint_is_as_documented_for_a_user(case: Any, authorization: str):
    check(case, Authorization=authorization)
