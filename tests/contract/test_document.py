"""docs/openapi.json is OpenAPI 3.1, and says what the code says."""

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest
from django.test import RequestFactory

import batchapi
from batchapi import exceptions
from batchapi.batch import METHODS
from batchapi.conf import Limits
from batchapi.parent import Parent
from batchapi.parse import parse_batch
from batchapi.parse.headers import ALLOWED, REFUSED
from batchapi.policy import PRIORITIES
from tests.contract.document import DOCUMENT, SCHEMAS, post
from tests.security.asking import answer
from tests.test_names import ROOT, concrete

MEMBERS = SCHEMAS["SubRequest"]["properties"]
OF_DRF = {"405": ["method_not_allowed"], "406": ["not_acceptable"], "415": ["unsupported_media_type"]}


class Watched(dict[str, Any]):
    """A JSON object that notes which members somebody asks for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def by_status(kind: type[exceptions.BatchError]) -> dict[str, list[str]]:
    """The codes of a kind of error, sorted, under their status."""
    found: dict[str, list[str]] = defaultdict(list)
    for error in concrete(kind):
        found[str(error.status)].append(error.code)
    return {status: sorted(codes) for status, codes in found.items()}


def problem_of(status: str) -> dict[str, Any]:
    """What the document says of a refusal with this status."""
    content = post()["responses"][status]["content"]["application/problem+json"]
    said: dict[str, Any] = content["schema"]["allOf"][1]["properties"]
    return said


def test_the_document_is_openapi_3_1():
    openapi_spec_validator.validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_the_document_is_of_this_version():
    assert DOCUMENT["info"]["version"] == batchapi.__version__


def test_each_status_has_the_codes_of_the_tree_of_errors():
    """And those of Django REST framework; a status that is there is told once."""
    told = {status: sorted(problem_of(status)["code"]["enum"]) for status in post()["responses"] if status != "200"}
    assert told == by_status(exceptions.EnvelopeError) | OF_DRF
    assert all(problem_of(status)["status"]["const"] == int(status) for status in told)


def test_a_sub_request_has_the_codes_of_the_tree_of_errors():
    told = {
        str(kind["properties"]["status"]["const"]): sorted(kind["properties"]["code"]["enum"])
        for kind in SCHEMAS["SubRequestProblem"]["anyOf"]
    }
    assert told == by_status(exceptions.SubRequestError)


def test_a_refusal_that_has_a_wait_says_so():
    waiting = {str(error.status) for error in concrete(exceptions.EnvelopeError) if error("words").wait}  # type: ignore[attr-defined] # an EnvelopeError
    told = {status for status, said in post()["responses"].items() if "Retry-After" in said.get("headers", {})}
    assert told == waiting


def test_the_limits_are_the_defaults():
    limits = asdict(Limits())
    del limits["ALLOWED_HEADERS"]  # A list of names, and no limit.
    assert post()["x-limits"] == limits
    assert SCHEMAS["SubRequests"]["maxItems"] == SCHEMAS["Answer"]["properties"]["responses"]["maxItems"]
    assert SCHEMAS["SubRequests"]["maxItems"] == limits["MAX_BATCH_SIZE"]
    assert SCHEMAS["Headers"]["maxProperties"] == limits["MAX_HEADERS"]


def test_what_is_read_of_a_sub_request_is_in_the_document():
    """And nothing else: of a record that gives its url under the last of its names, every member is asked for."""
    item = Watched({"uri": "/api/stats/"})
    whole = Watched({"requests": [item]})
    parent = Parent.from_request(RequestFactory().post("/api/batch/"))
    assert len(parse_batch(whole, parent=parent, limits=Limits()).requests) == 1
    assert item.asked == set(MEMBERS)
    assert whole.asked == set(SCHEMAS["Batch"]["properties"])


def test_the_values_that_a_member_can_have_are_those_of_the_code():
    assert {*MEMBERS["method"]["enum"]} == {*METHODS, None}
    assert MEMBERS["priority"]["enum"] == [*PRIORITIES, None]


@pytest.mark.parametrize("name", sorted(ALLOWED | REFUSED))
def test_the_headers_that_are_read_are_told(name: str):
    assert name in SCHEMAS["Headers"]["description"].lower()


def examples() -> dict[str, Any]:
    """The batches that the document shows."""
    shown = post()["requestBody"]["content"]["application/json"]["examples"]
    return {name: example["value"] for name, example in shown.items()}


@pytest.mark.parametrize("name", examples())
def test_a_batch_that_is_shown_is_accepted(name: str):
    parent = Parent.from_request(RequestFactory().post("/api/batch/"))
    batch = parse_batch(examples()[name], parent=parent, limits=Limits())
    assert all(request.refusal is None for request in batch.requests)


@pytest.mark.django_db
def test_the_problem_that_is_shown_is_what_comes():
    """Word for word, but for the id of this batch."""
    shown = post()["responses"]["200"]["content"]["application/json"]["examples"]["mixed"]["value"]["responses"][1]
    record = answer({"id": "nope", "url": "/nope/"}, headers={"X-Request-ID": "7c4555ce62137852"})
    assert record == shown


@pytest.mark.parametrize("page", ["README.md", "docs/errors.md", "docs/testing.md"])
def test_the_document_is_linked(page: str):
    assert "openapi.json" in Path(ROOT / page).read_text()


def test_the_document_is_written_as_json_writes_it():
    """So that a change of it is a short one."""
    assert (ROOT / "docs/openapi.json").read_text() == json.dumps(DOCUMENT, indent=2, ensure_ascii=False) + "\n"
