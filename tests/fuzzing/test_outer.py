"""The headers of the batch itself: any bytes, and never a 500."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from batchapi.parse.headers import EXTENDED
from tests.fuzzing.reading import BOUNDED
from tests.security.asking import send

pytestmark = [pytest.mark.urls("tests.fuzzing.urls"), pytest.mark.django_db]

WORDS = (
    *("continue-on-error", "=false", "=true", '="false"', ", ", ";", "wait=", "return=minimal", "handling=strict", '"'),
    *("u=", "9" * 5000, "-1", "\\", "i", "?1", ":YQ==:", "(", ")", "\u00b2", "\xe9", "\x80", "\0", "\r\n", "\t", " "),
    *("00-", "0" * 32, "-" + "1" * 16, "-01", "x" * 300),
)
fields = st.binary(max_size=20).map(lambda raw: raw.decode("latin-1")) | st.lists(
    st.sampled_from(WORDS), max_size=8
).map("".join)
NAMES = ("HTTP_IDEMPOTENCY_KEY", "HTTP_PREFER", "HTTP_PRIORITY", "HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT", "HTTP_ACCEPT")
BATCH = [{"url": "/api/items/x/"}, {"method": "POST", "url": "/api/items/y/", "body": {"a": 1}}]


@BOUNDED
@given(st.dictionaries(st.sampled_from(NAMES), fields, min_size=1))
@example({"HTTP_IDEMPOTENCY_KEY": ""})
@example({"HTTP_IDEMPOTENCY_KEY": '"\\"'})
@example({"HTTP_PREFER": "continue-on-error" + " " * 5000})
@example({"HTTP_X_REQUEST_ID": "a\r\nSet-Cookie: b"})
@example({"HTTP_PRIORITY": "u=" + "9" * 5000})
def test_any_bytes_in_a_header_of_the_batch_are_no_crash(headers: dict[str, str]):
    """Answered, or refused as documented; the same for a sub-request that has the header."""
    response = send(BATCH, **headers)
    assert response.status_code in (200, 400, 406, 409, 422), response.content
    assert "\n" not in str(response.headers)
    if response.status_code == 200:
        assert [record["status"] for record in response.json()["responses"]] == [200, 200]


@BOUNDED
@given(st.sampled_from(["Idempotency-Key", "Prefer", "Priority"]), fields)
@example("Priority", "u=" + "9" * 5000)
@example("Priority", "u=\u00b2")
def test_any_text_in_a_header_of_a_sub_request_is_no_crash(name: str, text: str):
    """Its own neighbour is unharmed."""
    response = send([{**BATCH[1], "headers": {name: text}}, BATCH[0]])
    assert response.status_code in (200, 400), response.content
    if response.status_code == 200:
        first, second = response.json()["responses"]
        assert first["status"] in (200, 409, 422)
        assert second["status"] == 200
    else:
        assert {error["pointer"].startswith("#/requests/0/headers") for error in response.json()["errors"]} == {True}


@BOUNDED
@given(fields, st.sampled_from(["CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING"]))
@example("\u00b2", "CONTENT_LENGTH")
@example("application/json; charset=\x80", "CONTENT_TYPE")
@example("application/json; a*=utf-8''%ff", "CONTENT_TYPE")
def test_what_describes_the_body_is_no_crash(text: str, name: str):
    """But for `a*=idna''%ff` and its kind, on which Django raises while it makes the request: no view is asked."""
    assume(name != "CONTENT_TYPE" or "utf-8" in text or not EXTENDED.search(text))
    response = send(BATCH, **{name: text})
    assert response.status_code in (200, 400, 415), response.content
