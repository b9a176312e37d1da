"""The harness notices: each planted difference is found, and every view and kind of answer is reached."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import get_ident
from typing import Any
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

from batchapi.signals import subrequest_started
from chat.urls import urlpatterns as of_the_chat
from tests.differential import spoilers
from tests.differential.arms import ask_alone, ask_together
from tests.differential.asks import Ask
from tests.differential.browser import Browser
from tests.differential.cast import CALLERS
from tests.differential.differences import COPY
from tests.differential.harness import Harness
from tests.differential.stage import on_lanes
from tests.differential.strategies import ZOO
from tests.urls import zoo

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")

CALLER = {caller.name: caller for caller in CALLERS}
ALICE = CALLER["alice by session"]
SPOILT = [  # what is planted, what is asked, a word of what must be noticed
    ("another_header", Ask(url="/api/t/who/"), "X-Spoilt: None alone, '1' together"),
    ("missing_header", Ask(url="/api/t/who/"), "Allow: 'GET, POST, HEAD, OPTIONS' alone, None together"),
    ("missing_vary", Ask(url="/api/t/who/"), "Vary Accept"),
    ("another_status", Ask(url="/api/t/who/"), "status 200 alone, 299 together"),
    ("another_body", Ask(url="/api/t/raw/bytes/"), "body: "),
    ("another_row", Ask(url="/api/t/who/"), "/rows/auth_group: "),
    ("another_mail", Ask(url="/api/t/who/"), "/mail: "),
    ("another_cookie", Ask(url="/api/t/who/"), "/cookies/spoilt for /: "),
    ("another_count", Ask(url="/api/t/who/"), "/caches/default :1:spoilt: "),
    ("another_user", Ask(url="/api/t/members/"), "status 200 alone, 302 together"),
    ("another_zone", Ask(url="/api/t/language/"), "body: "),
    ("without_query", Ask(url="/api/t/meta/?a=1"), "body: "),
    ("without_session", Ask(url="/api/t/use-token/"), "/rows/django_session: "),
    ("twice", Ask(url="/api/t/limited/user/"), "/happened: "),
    ("twice", Ask(method="POST", url="/api/sessions/", body={}), "/rows/chat_session: "),
]


@pytest.mark.parametrize(("spoiler", "ask", "word"), SPOILT, ids=lambda value: value if isinstance(value, str) else "")
def test_a_planted_difference_is_found(harness: Harness, spoiler: str, ask: Ask, word: str):
    """One small wrong in every sub-request, planted by a setting of ours."""
    harness.check(ALICE, [ask])
    with spoilt_by(spoiler), pytest.raises(AssertionError, match=r"asks\n *0 ") as found:
        harness.check(ALICE, [ask])
    assert word in str(found.value)


def spoilt_by(spoiler: str) -> override_settings:
    """One more middleware around sub-requests."""
    path = f"{spoilers.__name__}.{spoiler}"
    return override_settings(BATCHAPI={**settings.BATCHAPI, "SUBREQUEST_MIDDLEWARE": (path,)})


def test_a_batch_without_csrf_checks_is_found(harness: Harness):
    """The worst that a batch endpoint can do."""
    caller, ask = CALLER["alice by session without a CSRF token"], Ask(method="POST", url="/api/t/guarded/")
    harness.check(caller, [ask])
    with spoilt_by("without_csrf"), pytest.raises(AssertionError, match="status 403 alone, 200 together"):
        harness.check(caller, [ask])


def test_lanes_do_open(loose_harness: Harness, tmp_path: Path):
    """Else what is compared on several lanes would be what is compared on one."""
    threads = set()

    def hear(**_: Any) -> None:
        threads.add(get_ident())

    subrequest_started.connect(hear)
    try:
        with on_lanes(tmp_path / "other.sqlite3", set(range(8))):
            loose_harness.check(ALICE, [Ask(url=f"/api/t/who/?{n}") for n in range(8)])
    finally:
        subrequest_started.disconnect(hear)
    assert len(threads) > 2


def test_copies_are_made(loose_harness: Harness):
    """And nothing but their mark tells them apart."""
    reads = [
        Ask(url="/api/t/who/"),
        Ask(url="/api/t/who/"),
        Ask(url="/api/t/limited/both/"),
        Ask(url="/api/t/limited/both/"),
    ]
    with override_settings(BATCHAPI={**settings.BATCHAPI, "ENABLE_DEDUPLICATION": True}):
        loose_harness.check(ALICE, reads)
        loose_harness.stage.set()
        records = ask_together(loose_harness.together, ALICE, reads, Browser(ALICE.cookies))
    assert [record.members["headers"].get("Cache-Status") for record in records] == [None, COPY, None, COPY]


def test_every_caller_is_who_it_says(harness: Harness):
    """A session or token that nobody knows would make all that is compared a refusal."""
    whoami = Ask(url="/api/t/who/")
    users = {name: json.loads(harness.play(caller, [whoami])[0][0].body).get("user") for name, caller in CALLER.items()}
    assert {name for name, user in users.items() if user == "alice"} == {name for name in users if "alice" in name}
    by_basic = Ask(url="/api/t/who/basic/")
    assert json.loads(harness.play(CALLER["bob by password"], [by_basic])[0][0].body)["user"] == "bob"


def test_every_view_is_asked():
    """No view of the zoo or the chat stands there for nothing, nor any way that the zoo's strategies name."""
    resolve = get_resolver().resolve
    asked = {resolve(unquote(ask.url.partition("?")[0])).func for ask in ZOO if "nowhere" not in ask.url}
    assert {view for view in views_of(zoo) | views_of(of_the_chat) if view not in asked} == set()


def views_of(patterns: Sequence[Any]) -> set[Any]:
    """The views behind URL patterns."""
    nested = (views_of(p.url_patterns) if isinstance(p, URLResolver) else {p.callback} for p in patterns)
    return {view for views in nested for view in views}


def alone(harness: Harness, ask: Ask) -> int | None:
    """The status of one request of alice's."""
    harness.stage.set()
    return ask_alone(harness.alone, ALICE, [ask], [0], Browser(ALICE.cookies))[0].status


def test_every_kind_of_answer_is_reached(harness: Harness):
    """Statuses by number, each from more than one view where there is more than one way to get it."""
    statuses = Counter(alone(harness, ask) for ask in ZOO)
    often = {
        200: 150,
        400: 15,
        403: 10,
        404: 10,
        405: 5,
        500: 10,
        201: 3,
        204: 5,
        304: 5,
        406: 3,
        412: 2,
        503: 1,
        415: 1,
    }
    assert {status: statuses[status] for status, least in often.items() if statuses[status] < least} == {}
    assert statuses.keys() >= {202, 205, 302, 307, 401, 415, 418, 429, 599}
