"""What the sub-requests take over from the outer request."""

import pytest
from django.test import RequestFactory

from batchapi.parent import Parent, read_correlation_id


def parent(path: str = "/api/batch/", **environ: str) -> Parent:
    return Parent.from_request(RequestFactory().post(path, **environ))


ROOTS = {
    "/api/batch/": "/api/",
    "/api/$batch": "/api/",
    "/batch/": "/",
    "/$batch": "/",
    "/de/api/v1/batch/": "/de/api/v1/",
    "/a%20b/%25/batch/": "/a%20b/%25/",
    "/\u00e9/batch/": "/%C3%A9/",
}


@pytest.mark.parametrize("path", ROOTS)
def test_the_service_root_is_the_mount_without_its_last_segment(path: str):
    """Percent-encoded, as a client would write it."""
    assert parent(path).service_root == ROOTS[path]


@pytest.mark.parametrize("name", ["/app", "/app/", "/a+b@c", "/~alice", ""])
def test_a_script_name_is_written_as_a_client_writes_it(name: str):
    assert parent(SCRIPT_NAME=name).script_name == name.rstrip("/")


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = [
    ({"HTTP_X_REQUEST_ID": "abc-1"}, "abc-1"),
    ({"HTTP_X_REQUEST_ID": "a b", "HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
    ({"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
]


@pytest.mark.parametrize(("environ", "wanted"), IDS)
def test_the_correlation_id_is_the_clients_if_it_is_clean(environ: dict[str, str], wanted: str):
    assert read_correlation_id(environ) == wanted


@pytest.mark.parametrize(
    "trace", ["", "00-x-y-01", f"00-{TRACE}-00f067aa0ba902b7", f"00-{TRACE}-00f067aa0ba902b7-01\n"]
)
def test_without_one_it_is_a_new_one(trace: str):
    ours = read_correlation_id({"HTTP_TRACEPARENT": trace})
    assert len(ours) == 32
    assert ours != read_correlation_id({"HTTP_TRACEPARENT": trace})


def test_nothing_of_the_outer_request_is_shared_for_writing():
    """A view may write into its META as it likes."""
    request = RequestFactory().post("/api/batch/", headers={"X-A": "1"})
    taken = Parent.from_request(request)
    assert taken.environ is not request.META
    assert taken.environ["HTTP_X_A"] == "1"
    assert not {"wsgi.input", "CONTENT_TYPE", "CONTENT_LENGTH"} & taken.environ.keys()
