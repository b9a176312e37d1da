"""S2: no batch inside a batch, by whatever name it is called."""

from typing import Any

import pytest
from django.test import override_settings

from tests.security.asking import BATCH, answer, answers, refusal
from tests.security.views import CALLS, INNER

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

DISGUISES = {
    "plainly": BATCH,
    "percent-encoded": "/api/ba%74ch/",
    "percent-encoded throughout": "/%61%70%69/%62%61%74%63%68/",
    "relative": "batch/",
    "relative to the root": "/batch/",
    "without the last slash": "/api/batch",
    "relative without the last slash": "batch",
    "absolute": "http://testserver/api/batch/",
    "absolute with a port": "http://testserver:80/api/batch/",
    "absolute in capitals": "HTTP://TESTSERVER/api/batch/",
    "with a query": "/api/batch/?x=1",
    "with an empty query": "/api/batch/?",
    "by its alias": "/api/$batch",
    "by its alias, encoded": "/api/%24batch",
    "by its alias, relative": "%24batch",
    "by its alias, from the root": "/$batch",
    "decorated": "/api/decorated/",
    "as a subclass": "/api/mine/",
}


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "poSt"])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_batch_in_a_batch_is_refused(disguise: str, method: str):
    """By what the resolver finds; nothing has run."""
    problem = refusal([{"url": "/api/items/x/"}, {"url": DISGUISES[disguise], "method": method, "body": INNER}])
    assert problem["code"] == "nested_batch"
    assert [error["pointer"] for error in problem["errors"]] == ["#/requests/1/url"]


@pytest.mark.parametrize("url", ["//api/batch/", "/api//batch/", "/API/BATCH/", "/api/batch//", "/api/batch/;x"])
def test_what_is_no_name_of_the_batch_leads_nowhere(url: str):
    """Neither to the batch nor anywhere else."""
    problem_or_record = (
        refusal([{"url": url}]) if url.startswith("//") else answer({"url": url, "method": "POST", "body": INNER})
    )
    assert problem_or_record["status"] in (400, 404)
    assert CALLS == []


def test_a_redirect_to_the_batch_is_not_followed():
    """The client gets the redirect, as from the view alone."""
    record = answer({"url": "/api/redirecting/"})
    assert (record["status"], record["headers"]["Location"]) == (302, "/api/batch/")
    assert CALLS == ["/api/redirecting/"]


@pytest.mark.parametrize("url", ["/api/undecorated/", "/api/posting/"])
def test_a_view_that_runs_a_batch_inside_a_batch_is_refused(url: str):
    """The inner batch knows that it is one: nothing of it runs, and the outer one goes on."""
    inner, other = answers([{"url": url, "method": "POST", "body": INNER}, {"url": "/api/items/other/"}])
    assert (inner["status"], inner["body"]["code"], inner["body"]["executed"]) == (400, "nested_batch", False)
    assert other["body"]["name"] == "other"
    assert "/api/items/inner/" not in CALLS


def test_the_same_views_may_run_a_batch_when_they_are_called_alone(client: Any):
    """The guard looks at what runs around it, not at a header that a client could send."""
    for url in ("/api/undecorated/", "/api/posting/"):
        response = client.post(url, INNER, content_type="application/json")
        assert response.json()["responses"][0]["body"]["name"] == "inner"


@pytest.mark.parametrize("name", ["X-Batch", "X-Request-ID", "X-Nested-Batch", "Next-Router-Prefetch"])
def test_no_header_opens_or_closes_the_guard(name: str):
    """Neither on the batch nor on the sub-request."""
    request = {"url": "/api/undecorated/", "method": "POST", "body": INNER, "headers": {name: "0"}}
    assert answer(request, headers={name: "0"})["body"]["code"] == "nested_batch"


def rewrite_path(get_response: Any) -> Any:
    """Middleware that sends a request elsewhere."""

    def respond(request: Any) -> Any:
        request.path_info = request.GET.get("to", request.path_info)
        return get_response(request)

    return respond


@pytest.mark.parametrize("path", [BATCH, "/api/$batch", "/api/mine/", "/api/plain/", "/admin/login/", "/api/closed/"])
def test_middleware_that_rewrites_a_path_opens_no_other_door(path: str):
    """What is found then is judged as what was found first."""
    with override_settings(BATCHAPI={"SUBREQUEST_MIDDLEWARE": (f"{__name__}.rewrite_path",)}):
        rewritten, kept = answers([{"url": f"/api/items/x/?to={path}"}, {"url": "/api/items/x/?to=/api/items/y/"}])
    assert (rewritten["status"], kept["body"]["name"]) == (404, "y")
    assert CALLS == ["/api/items/x/"]
