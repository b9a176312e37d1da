"""Requests to think of: every view of the zoo in every way, the whole chat API, good and bad input, in any sequence."""

from typing import Any

from hypothesis import strategies as st

from tests.differential.asks import Ask
from tests.differential.cast import CALLERS
from tests.factories import PASSWORD
from tests.views.answers import BODIES, FORMS
from tests.views.identity import WAYS
from tests.views.writing import ERRORS

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=xx"
PARTS = "\r\n".join(
    [
        *("--xx", 'Content-Disposition: form-data; name="a"', "", "ä"),
        *("--xx", 'Content-Disposition: form-data; name="f"; filename="f.txt"', "Content-Type: text/plain", "", "file"),
        *("--xx--", ""),
    ]
)
SHAPES = ("expire", "browser", "cycle", "save", "clear", "pop", "test", "crash", "vanish", "nothing", "same")
COOKIES = (
    "set",
    "odd",
    "empty",
    "signed",
    "delete",
    "elsewhere",
    "near",
    "here",
    "delete-elsewhere",
    "past",
    "secure",
    "many",
)
CHANGES = ("password", "password-stay", "token", "rename", "deactivate", "promote", "delete", "grant")
ENDS = ("none", "rollback", "savepoint", "broken", "durable", "400", "well")
HOOKS = ("well", "raises", "robust", "undone")
NOT_PLAIN = ("204-body",)  # a DRF response, which needs a DRF view


def get(*urls: str, **more: Any) -> list[Ask]:
    return [Ask(url=f"/api/t/{url}", **more) for url in urls]


def post(*urls: str, **more: Any) -> list[Ask]:
    return get(*urls, method="POST", **more)


def with_type(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type}


ASKING = [
    *get("meta/", "meta/?a=1&a=%C3%A4&b", "plain-meta/", "plain-meta/x%20%C3%A4;b/?q=%2F", "echo/", "echo/5/a/b/"),
    *get("language/", "page/", "leak/", "async/", "form/"),
    *post("meta/", "plain-meta/", "echo/", body={"a": [1, "ä", None, 1.5, 10**30]}),
    *post("echo/?format=json", "upload/", body={"lone": "\ud800"}),
    *post("form/", "upload/", "echo/", "raw-body/", body="a=1&a=2&b=%C3%A4", headers=with_type(FORM)),
    *post("form/", "upload/", "echo/", body=PARTS, headers=with_type(MULTIPART)),
    *post("form/", "upload/", body=b"no boundary", headers=with_type("multipart/form-data")),
    *post("raw-body/", "echo/", body=bytes(range(256)), headers=with_type("application/octet-stream")),
    *get("put-file/a.txt", method="PUT", body=b"\x00\xff", headers=with_type("image/png")),
    *get("echo/", "raw-body/", "meta/", method="DELETE"),
    *post("echo/", "upload/", "leak/", "raw-body/"),
]
SESSIONS = [
    *get("counter/", "guarded/", "protected/", "give-token/", "use-token/", "new-token/", "notes/", "cookie/show/"),
    *post("counter/", "guarded/", "protected/", "end-sessions/", "notes/", "new-token/"),
    *get("counter/", method="PUT"),
    *get("counter/", method="DELETE"),
    *post(*(f"session/{how}/" for how in SHAPES)),
    *post(*(f"cookie/{how}/" for how in COOKIES), "cookie/speak/"),
    *post("guarded/", body="csrfmiddlewaretoken=" + "c" * 32, headers=with_type(FORM)),
]
IDENTITY = [
    *get(*(f"who/{way}/" for way in WAYS), *(f"closed/{way}/" for way in WAYS), "who/", "closed/", "staff/"),
    *post(*(f"who/{way}/" for way in WAYS), *(f"closed/{way}/" for way in WAYS), "who/"),
    *get("decorated/", "permitted/", "own/1/", "own/2/", "members/?a=1", "plain-user/", "scribble/"),
    *get("rights/1/", "rights/99/"),
    *get("rights/1/", method="PUT", body={"name": "renamed"}),
    *get("rights/1/", method="DELETE"),
    *post(
        "scribble/", "plain-user/", "members/", "decorated/", "leave/", "become/alice/", "become/bob/", "become/zoe/"
    ),
    *get("leave/"),
    *post(*(f"change/{what}/" for what in CHANGES)),
    *post("obtain-token/", body={"username": "alice", "password": PASSWORD}),
    *post("obtain-token/", body={"username": "alice", "password": "wrong"}),
]
WRITING = [
    *get("groups/"),
    *post("groups/", body={"name": "one"}),
    *post("groups/", body={"name": "first"}),
    *post(*(f"{kind}fail/{how}/" for kind in ("", "plain-", "loose-") for how in ERRORS), "loose/", "mail/"),
    *post(*(f"ends/{how}/" for how in ENDS), *(f"hooks/{how}/" for how in HOOKS)),
    *post("low/", "limited/user/", "async-write/", "async-write/?crash=1"),
    *get("low/", "limited/user/", "limited/address/", "limited/both/", "limited/scoped/"),
]
CONDITIONS = (
    {"If-None-Match": '"1"'},
    {"If-None-Match": 'W/"1", "2"'},
    {"If-Match": '"2"'},
    {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
    {"If-Unmodified-Since": "Sun, 01 Jan 2023 00:00:00 GMT"},
    {"Accept": "text/csv"},
    {"Accept": "application/json; indent=4"},
    {"Accept": "text/html"},
    {"Accept": "image/png"},
    {"Accept-Language": "de-AT, fr;q=0.5"},
    {"Accept-Language": "xx"},
    {"Prefer": "return=minimal", "Priority": "u=1"},
)
DECORATED = ("conditional/", "etag/", "modified/", "decorated-class/", "negotiated/", "language/", "page/", "meta/")
ANSWERS = [
    *get(
        *(f"raw/{name}/" for name in BODIES), "raw/json/?status=202", "raw/broken/?status=500", "raw/html/?status=404"
    ),
    *get(*(f"answer/{name}/" for name in FORMS)),
    *get(*(f"plain-answer/{name}/" for name in FORMS if not name.startswith("drf") and name not in NOT_PLAIN)),
    *get("negotiated/?format=csv", "etag/?v=2", "never/", "packed/", "framed/", "cached/", "post-only/"),
    *get("things/", "things/7/", "things/7.json", "things.json", "things.xml", "things/7/do-it/", "", "?format=api"),
    *post("post-only/", "things/7/do-it/", "things/", body={"a": 1}),
    *get("things/7/do-it/", method="PATCH", body={}),
    *get("things/7/do-it/", method="DELETE"),
    *get(
        *DECORATED,
        "never/",
        "things/",
        "raw/json/",
        "raw/bytes/",
        "answer/stream/",
        "groups/",
        "cached/",
        method="HEAD",
    ),
    *get(*DECORATED, "things/", "things/7/", "rights/1/", "limited/user/", method="OPTIONS"),
    *(ask for headers in CONDITIONS for ask in get(*DECORATED, headers={k: v for k, v in headers.items() if v})),
]


def chat(method: str, url: str, body: Any = None) -> Ask:
    return Ask(method=method, url=f"/api/{url}", body=body)


LOGINS = [
    chat("POST", "auth/login/", {"username": name, "password": password})
    for name, password in (("alice", PASSWORD), ("bob", PASSWORD), ("carol", PASSWORD), ("alice", "wrong"), (7, None))
]
ACCOUNTS = [
    *LOGINS,
    *(chat("POST", url) for url in ("auth/logout/", "auth/token/", "auth/login/")),
    *(chat("GET", url) for url in ("auth/me/", "users/me/", "stats/", "auth/login/", "nowhere/", "auth/token/")),
    chat("DELETE", "auth/token/"),
    chat("OPTIONS", "sessions/"),
    *(Ask(url=url) for url in ("/nowhere/", "/api/t/nowhere/")),
]
CHAT = [
    *(
        chat("GET", url)
        for url in ("sessions/", "sessions/a1/", "sessions/b1/", "sessions/a1/messages/", "messages/1/")
    ),
    *(
        chat("POST", url, {"title": "x", "content": "y"})
        for url in ("sessions/", "sessions/a1/messages/", "messages/1/")
    ),
    *(chat("PUT", url, {"title": "x"}) for url in ("sessions/a1/", "sessions/new/", "sessions/%C2%B2/")),
    *(chat("PATCH", url, {"title": "x", "content": "y"}) for url in ("sessions/a1/", "messages/1/", "messages/4/")),
    *(chat("DELETE", url) for url in ("sessions/a1/", "messages/1/", "messages/4/")),
]
ZOO = [*ASKING, *SESSIONS, *IDENTITY, *WRITING, *ANSWERS, *ACCOUNTS, *CHAT]

# What Hypothesis makes up

keys = st.sampled_from(["a1", "a2", "b1", "42", "same", "new", "%C2%B2", "a%20b", "nobody's", "x" * 65])
chosen = st.sampled_from(["a1", "new", "42", 42, "²", "", "x" * 65, None, True, 1.5, "same", "\ud800"])
titles = st.sampled_from(["", "Plans", "ä" * 200, "x" * 201, None, 7, [], " padded "])
contents = st.sampled_from(["hi", "", " ", "x" * 50, None, 3, "\ud83d\ude00 ", "a\x00b"])
roles = st.sampled_from(["user", "assistant", "system", "root", None])
session_bodies = st.one_of(
    st.fixed_dictionaries({}, optional={"id": chosen, "title": titles, "unknown": st.just(1)}),
    st.sampled_from([[], "text", 5, None]),
)
message_bodies = st.fixed_dictionaries({}, optional={"content": contents, "role": roles, "session": chosen})
etags = st.sampled_from(
    [{}, {}, {}, {"If-Match": "*"}, {"If-None-Match": "*"}, {"If-Match": '"0"'}, {"If-None-Match": 'W/"0"'}]
)
languages = st.sampled_from([{}, {}, {"Accept-Language": "de"}, {"Accept": "application/json; indent=2"}])
headers = st.builds(lambda one, other: {**one, **other}, etags, languages)
pages = st.sampled_from(["", "?page=2&page_size=2", "?page=9", "?page=last&page_size=3", "?page_size=0", "?page=x"])
lists = st.one_of(
    pages,
    st.sampled_from(["?search=a1", "?search=%00", "?ordering=title", "?ordering=-created_at", "?role=user", "?role=x"]),
)

chat_asks = st.one_of(
    st.builds(Ask, url=lists.map("/api/sessions/{}".format), headers=languages),
    st.builds(Ask, method=st.just("POST"), url=st.just("/api/sessions/"), body=session_bodies, headers=headers),
    st.builds(
        Ask,
        method=st.sampled_from(["GET", "HEAD", "DELETE"]),
        url=keys.map("/api/sessions/{}/".format),
        headers=headers,
    ),
    st.builds(
        Ask,
        method=st.sampled_from(["PUT", "PATCH"]),
        url=keys.map("/api/sessions/{}/".format),
        body=session_bodies,
        headers=headers,
    ),
    st.builds(lambda key, page: Ask(url=f"/api/sessions/{key}/messages/{page}"), keys, lists),
    st.builds(
        Ask,
        method=st.just("POST"),
        url=keys.map("/api/sessions/{}/messages/".format),
        body=message_bodies,
        headers=languages,
    ),
    st.builds(
        Ask,
        method=st.sampled_from(["GET", "PATCH", "DELETE"]),
        url=st.integers(0, 8).map("/api/messages/{}/".format),
        body=st.one_of(st.none(), message_bodies),
        headers=headers,
    ),
)
# Those that change who is asking, or what is remembered of it, are drawn more often than their number.
MOVERS = [*SESSIONS, *LOGINS, *post(*(f"change/{what}/" for what in CHANGES)), *post("become/bob/", "leave/")]
WITNESSES = [
    *get("who/all/", "closed/session/", "plain-user/", "counter/", "cookie/show/", "meta/", "members/", "use-token/")
]
asks = st.one_of(
    st.sampled_from(ZOO),
    st.sampled_from(MOVERS),
    st.sampled_from(WITNESSES),
    st.sampled_from(IDENTITY),
    chat_asks,
    chat_asks,
)
KNOWN = [caller for caller in CALLERS if caller.name in ("alice by token", "alice by session", "bob by password")]
callers = st.sampled_from(
    [*CALLERS, *KNOWN * 3, *(c for c in CALLERS if "in alice's" in c.name or "in bob's" in c.name)]
)


@st.composite
def sequences(draw: st.DrawFn) -> list[Ask]:
    """One to twelve requests; a few are urgent, or wait for others."""
    drawn = [draw(asks) for _ in range(draw(st.integers(1, 12)))]  # lists() would draw three on average
    return [draw(linked(ask, place)) if draw(st.integers(0, 7)) == 7 else ask for place, ask in enumerate(drawn)]


# Reads that others could notice.
NOISY = get(
    *(f"session/{how}/" for how in SHAPES),
    *(f"cookie/{how}/" for how in COOKIES),
    *("cookie/speak/", "counter/", "notes/", "give-token/", "use-token/", "new-token/"),
)
READS = [ask for ask in ZOO if ask.method in ("GET", "HEAD", "OPTIONS")]
side_by_side = st.lists(
    st.one_of(st.sampled_from(NOISY), st.sampled_from(NOISY), st.sampled_from(WITNESSES), st.sampled_from(READS), asks),
    min_size=2,
    max_size=8,
)

# Reads that nobody notices, of which some may be kept, and now and then a write of the same rows.
OF_ROWS = [ask for ask in ZOO if ask.url.startswith(("/api/sessions/", "/api/messages/", "/api/stats/"))]
QUIET = [ask for ask in READS if not ask.url.startswith(("/api/t/session/", "/api/t/cookie/"))]
ROWS_READ = [ask for ask in OF_ROWS if ask in READS]
again = st.lists(
    st.one_of(*[st.sampled_from(ROWS_READ)] * 5, *[st.sampled_from(QUIET)] * 3, st.sampled_from(OF_ROWS)),
    min_size=1,
    max_size=10,
)
readers = st.sampled_from([caller for caller in CALLERS if caller.name in ("alice by session", "alice by token")])


def linked(ask: Ask, place: int) -> st.SearchStrategy[Ask]:
    """The same request with a priority, waiting for some of those before it."""
    told = {"method": ask.method, "url": ask.url, "body": ask.body, "headers": ask.headers}
    priorities = st.sampled_from(["critical", "high", "normal", "low", "background", None])
    earlier = st.lists(st.integers(0, place - 1), max_size=2, unique=True).map(tuple) if place else st.just(())
    return st.builds(
        Ask, **{name: st.just(value) for name, value in told.items()}, priority=priorities, depends_on=earlier
    )
