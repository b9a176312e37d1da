"""A URL as a client wrote it in, a Route out: strict syntax first, then Django's resolver, then the view's policy.

The decision whether a view may be called is made on the view that was resolved, never on the text of the URL.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from django.core.handlers.wsgi import get_path_info
from django.http import Http404
from django.urls import Resolver404, get_resolver
from django.utils.translation import override
from rest_framework.views import APIView

from batchapi.batch import Match, Route
from batchapi.exceptions import BadUrl, NestedBatch, NotBatchable, NotFound, SubRequestError
from batchapi.policy import Policy, read_policy

MAX_LENGTH = 64 * 1024  # More than servers take in a request line; clients batch to send long queries.
URL = re.compile(r"[\x21-\x7e]+")  # printable ASCII without the space
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%(?:2f|5c|00)", re.IGNORECASE)
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
DOT_SEGMENT = re.compile(rb"(?:^|/)\.{1,2}(?:/|$)")
DEFAULT_PORTS = {"http": 80, "https": 443}


def resolve(
    url: str,
    *,
    method: str,
    origin: Callable[[], str],
    script_name: str,
    service_root: str,
    urlconf: str | None,
    language: Callable[[str], str | None],
) -> Route:
    """Find the view behind a URL.

    `origin` tells scheme and host of the parent ("https://example.com"), `script_name` the prefix that the
    application is mounted under, and `service_root` the path that relative URLs start from ("/api/"). `language`
    tells in which language a path is looked up, for URL patterns that are translated; None for the active one.
    A path that leads nowhere is tried under the service root, and then both with "/" added.

    Raises BadUrl for a URL that no careful client writes, NestedBatch where it leads to a batch endpoint, NotFound
    and NotBatchable where no view can answer it.
    """
    path, _, query = check_syntax(url, origin=origin).partition("?")
    refusal: SubRequestError = NotFound("No URL pattern matches.")
    for candidate in candidates(path, script_name=script_name, service_root=service_root):
        wsgi_path = unquote_to_bytes(candidate).decode("latin-1")
        path_info = get_path_info({"PATH_INFO": wsgi_path})
        tongue = language(path_info)
        try:
            with speaking(tongue):
                match = get_resolver(urlconf).resolve(path_info)
        except Http404:  # Resolver404, or what a path converter raises where it finds no row.
            continue
        policy = read_policy(match.func, method)
        if is_batch_endpoint(match.func):
            raise NestedBatch("This URL is a batch endpoint; put its sub-requests into this batch instead.")
        if not is_batchable(match.func, policy):
            refusal = NotBatchable("The view behind this URL does not take part in batches.")
            continue
        written = candidate if script_name + candidate == path else None
        location = None if written else script_name + candidate + (f"?{query}" if query else "")
        return Route(
            path=wsgi_path,
            path_info=path_info,
            query=query,
            language=tongue,
            urlconf=urlconf,
            match=match,
            policy=policy,
            location=location,
            is_non_atomic=bool(getattr(match.func, "_non_atomic_requests", None)),
        )
    raise refusal


def speaking(language: str | None) -> AbstractContextManager[None]:
    """The language that URL patterns are matched in; None for the one that is active."""
    return override(language) if language else nullcontext()


def check_syntax(url: str, *, origin: Callable[[], str]) -> str:
    """The path and query of a URL, percent-encoded as the client wrote them.

    A path that starts with "/" is a host path, any other is relative to the service root. Raises BadUrl.
    """
    if len(url) > MAX_LENGTH:
        raise BadUrl(f"A URL has at most {MAX_LENGTH} characters.")
    if not URL.fullmatch(url):
        raise BadUrl("A URL is made of printable ASCII characters without spaces; percent-encode all others.")
    if "#" in url or "\\" in url:
        raise BadUrl("A URL holds no fragment (#) and no backslash.")
    if SCHEME.match(url):
        url = strip_origin(url, origin())
    path = url.partition("?")[0]
    if path.startswith("//"):
        raise BadUrl("A URL starts with one slash, not two.")
    if BAD_ESCAPE.search(path):
        raise BadUrl("A path holds no %2F, %5C or %00, and a percent sign is followed by two hexadecimal digits.")
    decoded = unquote_to_bytes(path)
    if CONTROL.search(decoded) or DOT_SEGMENT.search(decoded):
        raise BadUrl("A path holds no control characters and no '.' or '..' segments.")
    return url


def strip_origin(url: str, origin: str) -> str:
    """The host path of an absolute URL on the parent's own scheme and host. Raises BadUrl for any other."""
    try:
        ours, theirs = split_origin(origin), split_origin(url)
    except ValueError:  # A port that is no number, or brackets that do not match.
        raise BadUrl("The host of this URL cannot be read.") from None
    if ours != theirs:
        raise BadUrl(f"An absolute URL in a batch must begin with {origin}/; or leave scheme and host out.")
    rest = url.split("://", 1)[1]
    start = re.search(r"[/?]", rest)
    if not start:
        return "/"
    return rest[start.start() :] if start.group() == "/" else "/" + rest[start.start() :]


def split_origin(url: str) -> tuple[str, str, str | None, int | None]:
    """Scheme, user part, host and port of a URL, normalized so that they can be compared."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    port = DEFAULT_PORTS.get(parts.scheme.lower()) if parts.port is None else parts.port
    return parts.scheme.lower(), user, parts.hostname, port


def candidates(path: str, *, script_name: str, service_root: str) -> Iterator[str]:
    """The paths below the script name that a URL may mean, most literal first."""
    literal = list(below(path, script_name))
    under_root = service_root + path.lstrip("/")
    if under_root not in literal:
        literal.append(under_root)
    yield from literal
    yield from (f"{path}/" for path in literal if not path.endswith("/"))


def below(path: str, script_name: str) -> Iterator[str]:
    """A host path without the script name, if it lies under it; a relative path lies nowhere."""
    if path.startswith("/") and (path == script_name or path.startswith(script_name + "/")):
        yield path.removeprefix(script_name) or "/"


def is_batch_endpoint(view: Callable[..., Any]) -> bool:
    """Whether a resolved view is a BatchView, however it was mounted."""
    return bool(getattr(getattr(view, "cls", None), "is_batch_endpoint", False))


def is_batchable(view: Callable[..., Any], policy: Policy) -> bool:
    """DRF views guard themselves, so they may be called unless they say no; a plain view must say yes."""
    if policy.batchable is not None:
        return policy.batchable
    view_class = getattr(view, "cls", None)
    return isinstance(view_class, type) and issubclass(view_class, APIView)


def resolve_again(path_info: str, *, method: str, urlconf: str | None) -> Match:
    """What the resolver finds now for a path that middleware or a change of language has touched.

    Raises Resolver404 as Django does, and Resolver404 too where the view found may not be called in a batch.
    """
    match = get_resolver(urlconf).resolve(path_info)
    if is_batch_endpoint(match.func) or not is_batchable(match.func, read_policy(match.func, method)):
        raise Resolver404({"path": path_info})
    return match
