"""Each difference that the harness has found, as the smallest batch that showed it."""

import pytest

from tests.differential.asks import Ask
from tests.differential.cast import CALLERS
from tests.differential.harness import Harness

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")

CALLER = {caller.name: caller for caller in CALLERS}
NOBODY, ALICE = CALLER["nobody"], CALLER["alice by session"]
META = Ask(url="/api/t/meta/")


def post(url: str, **more: object) -> Ask:
    return Ask(method="POST", url=f"/api/t/{url}", **more)


def test_an_async_stream_is_read_to_its_end(harness: Harness):
    """Each chunk was read in an event loop of its own, and the end of the first one closed the generator."""
    harness.check(NOBODY, [Ask(url="/api/t/plain-answer/stream-async/")])


def test_a_view_keeps_its_docstring(harness: Harness):
    """The class that remembers credentials had none, and DRF shows it in the answer to OPTIONS."""
    harness.check(ALICE, [Ask(method="OPTIONS", url="/api/t/who/"), Ask(method="OPTIONS", url="/api/sessions/")])


def test_a_remembered_refusal_speaks_the_language_of_each_request(harness: Harness):
    """The words of the first refusal were remembered in the language that it was made in."""
    in_german = {"Accept-Language": "de"}
    asks = [Ask(url="/api/sessions/"), Ask(url="/api/sessions/", headers=in_german), Ask(url="/api/sessions/")]
    harness.check(CALLER["a bad token"], asks)
    harness.check(
        CALLER["bob by a wrong password"], [Ask(url="/api/t/who/basic/", headers=ask.headers) for ask in asks]
    )


def test_a_rotated_csrf_token_does_not_make_the_clients_own_invalid(harness: Harness):
    """The secret of the new cookie was held against the header that the client wrote for its old one."""
    harness.check(ALICE, [post("new-token/"), META, post("guarded/")])


def test_a_csrf_cookie_that_a_decorator_set_is_read_by_the_next_request(harness: Harness):
    """Only cookies of the CSRF middleware were noticed, not those of `ensure_csrf_cookie`."""
    harness.check(NOBODY, [Ask(url="/api/t/give-token/"), META, Ask(url="/api/t/use-token/"), META])


@pytest.mark.parametrize("how", ["past", "elsewhere", "near", "here"])
def test_a_cookie_goes_where_and_as_long_as_a_browser_sends_it(harness: Harness, how: str):
    """Expires and Path were not looked at; and without a path, the batch's own URL gave the cookie another one."""
    asks = [post("cookie/set/"), post(f"cookie/{how}/"), META, Ask(url="/api/t/cookie/show/")]
    harness.check(NOBODY, asks)
    harness.check(NOBODY, asks[1:])


def test_two_cookies_of_one_name_and_different_paths_are_two(harness: Harness):
    """The answer to the batch kept the last one only; and deleting one left the other behind, or took it along."""
    harness.check(NOBODY, [post("cookie/set/"), post("cookie/near/"), META])
    harness.check(NOBODY, [post("cookie/set/"), post("cookie/near/"), post("cookie/delete/"), META])
