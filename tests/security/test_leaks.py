"""S15: nothing of the inside is told outside, and nothing from outside is written raw into a log."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
from django.test import Client, override_settings

from batchapi.log import CorrelationFilter
from tests.security.asking import answer, answers, refusal, send
from tests.security.views import SECRET

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

ITEM = {"url": "/api/items/x/"}
CRASHES = {
    "view": "/api/crash/view/",
    "serializer": "/api/crash/serializer/",
    "json": "/api/crash/json/",
    "stream": "/api/crash/stream/",
    "renderer": "/api/crash-in-renderer/",
    "middleware": "/api/items/in-middleware/",
}
INSIDE = (
    SECRET,
    "SELECT",
    "LookupError",
    "TypeError",
    "Traceback",
    "shadow",
    "/work",
    ".py",
    "tests.security",
    "Leaky",
)


@pytest.mark.parametrize("place", CRASHES)
def test_a_crash_tells_the_client_nothing(place: str, caplog: pytest.LogCaptureFixture):
    """The log hears everything, the neighbour nothing."""
    middleware = {"SUBREQUEST_MIDDLEWARE": ("tests.security.views.break_if_asked",)}
    with override_settings(BATCHAPI=middleware):
        response = send([{"url": CRASHES[place]}, ITEM], headers={"X-Request-ID": "known"})
    crashed, other = response.json()["responses"]
    assert (crashed["status"], crashed["body"]["code"], other["status"]) == (500, "crashed", 200)
    assert crashed["headers"]["Content-Type"] == "application/problem+json"
    assert crashed["body"]["correlation_id"] == "known/0"
    assert not [word for word in INSIDE if word in response.content.decode()]
    assert [record for record in caplog.records if record.exc_info and record.levelname == "ERROR"]


@pytest.mark.parametrize("place", CRASHES)
def test_every_crash_has_a_client_that_hears_of_its_own_request(place: str):
    """What is told is what the client wrote."""
    with override_settings(BATCHAPI={"SUBREQUEST_MIDDLEWARE": ("tests.security.views.break_if_asked",)}):
        record = answer({"url": CRASHES[place] + "?a=<b>"})
    assert record["request"] == {"method": "GET", "url": CRASHES[place] + "?a=<b>"}


SCRIPT = "</script><script>alert(1)</script>"
ECHOED = {
    "a url that leads nowhere": [{"url": f"/nowhere/{SCRIPT}"}],
    "an id": [ITEM | {"id": SCRIPT}],
    "a refused url": [{"url": f"//{SCRIPT}"}],
    "a refused id": [ITEM | {"id": [SCRIPT]}],
    "a refused method": [ITEM | {"method": SCRIPT}],
    "a refused header": [ITEM | {"headers": {SCRIPT: "x"}}],
    "a refused header value": [ITEM | {"headers": {"Authorization": SCRIPT}}],
    "a refused type": [ITEM | {"headers": {"Content-Type": f"text/plain; charset={SCRIPT}"}, "body": "x"}],
    "a refused priority": [ITEM | {"priority": SCRIPT}],
    "a refused dependency": [ITEM | {"dependsOn": [SCRIPT]}],
    "a refused order": {"requests": [], "ordering": SCRIPT},
    "no batch": {SCRIPT: SCRIPT},
}


@pytest.mark.parametrize("what", ECHOED)
def test_what_is_echoed_is_json_and_nothing_else(what: str):
    """No browser runs it, whoever it sniffs for: the type is JSON, and nothing is cached."""
    response = send(ECHOED[what])
    assert response["Content-Type"] in ("application/json", "application/problem+json")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "no-store"
    json.loads(response.content)


@pytest.mark.parametrize("what", [name for name in ECHOED if "refused" in name and "header" not in name])
def test_a_refusal_does_not_repeat_what_was_sent(what: str):
    """A pointer says where it stands."""
    assert "script" not in str(refusal(ECHOED[what]))


def test_a_header_value_is_never_repeated():
    """It may be a secret that somebody put into the wrong place."""
    for headers in ({"Authorization": "Token s3cret"}, {"X-A": "s3cret\n"}, {"If-Match": "$s3cret"}):
        assert "s3cret" not in str(refusal([ITEM | {"headers": headers}]))
    assert "s3cret" not in str(answers([{"url": "/nowhere/"}], headers={"X-Secret": "s3cret", "Cookie": "a=s3cret"}))


FORGED = ["\r\n2026 INFO forged", "\n", "\x1b[31mred\x1b[0m", "\x9b31m", "\u2028forged", "\x85", "\u202etxt", "\x00"]


@pytest.fixture
def written() -> Any:
    """What a plain log file would hold, of all that is logged down to DEBUG."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(correlation_id)s %(name)s %(message)s"))
    handler.addFilter(CorrelationFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def is_clean(text: str) -> bool:
    """Whether each line is one of ours: printable, and about this batch."""
    return all(line.isprintable() and "forged" not in line.split(" ")[0] for line in text.split("\n"))


@pytest.mark.parametrize("forged", FORGED, ids=ascii)
@pytest.mark.parametrize("place", ["id", "url", "method", "header", "request id", "trace", "extra"])
def test_nothing_from_outside_writes_a_line_or_moves_a_terminal(written: StringIO, place: str, forged: str):
    """Encoded or refused, and the batch beside it goes on."""
    requests: dict[str, Any] = {
        "id": ITEM | {"id": f"a{forged}b"},
        "url": {"url": f"/api/nowhere/{forged}/"},
        "method": ITEM | {"method": f"GET{forged}"},
        "header": ITEM | {"headers": {"Accept": f"a{forged}"}},
        "extra": ITEM | {forged: forged},
    }
    raw = forged.encode().decode("latin-1")  # as a server reads the bytes of a header
    headers = {"request id": {"X-Request-ID": raw}, "trace": {"Traceparent": f"00-{'a' * 32}-{'b' * 16}-01{raw}"}}
    send([requests.get(place, ITEM), {"url": "/api/nowhere/"}], headers=headers.get(place))
    assert written.getvalue()
    assert is_clean(written.getvalue()), ascii(written.getvalue())


@pytest.mark.parametrize("encoded", ["%C2%9B31m", "%E2%80%A8forged", "%C2%85", "%E2%80%AEtxt", "%FF%1B", "%0aforged"])
def test_an_encoded_path_is_no_line_either(written: StringIO, encoded: str):
    """A path is logged decoded: a view's 404, a crash, a refused CSRF token."""
    urls = [f"/api/items/{encoded}/", f"/api/nowhere/{encoded}/", f"/api/crash/{encoded}/"]
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    for url in urls:
        send([{"url": url, "method": "DELETE"}, {"url": url}], client=client)
    text = written.getvalue()
    lines = [line for line in text.split("\n") if line and not line.startswith(("Traceback", " ", "tests.", "Lookup"))]
    assert all(line.isprintable() for line in lines), ascii(text)


CORRELATION = {
    "known-1": True,
    "a" * 128: True,
    "a" * 129: False,
    "": False,
    "a b": False,
    "a/b": False,
    "<script>": False,
    "\u00e9": False,
    "a\tb": False,
}


@pytest.mark.parametrize("asked", CORRELATION, ids=ascii)
def test_a_correlation_id_is_clean_or_ours(asked: str):
    """It is on the answer, on every problem, and before each line."""
    response = send([{"url": "/nowhere/", "id": "a/\u00e9 b"}], headers={"X-Request-ID": asked})
    ours = response["X-Request-ID"]
    assert (ours == asked) is CORRELATION[asked]
    assert ours.isascii()
    assert ours.isprintable()
    assert response.json()["responses"][0]["body"]["correlation_id"] == f"{ours}/a%2F%C3%A9%20b"
    assert send({}, headers={"X-Request-ID": asked}).json()["correlation_id"]


def test_debug_tells_no_more_of_our_own_refusals():
    """Django's pages are for its developers; ours are for the client."""
    with override_settings(DEBUG=True):
        assert not [word for word in INSIDE if word in str(refusal([{"url": "//x"}]))]
