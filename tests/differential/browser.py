"""Set-Cookie headers in, the Cookie header of the next request out, by the rules of RFC 6265."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Attributes = dict[str, str]


class Browser:
    """A cookie jar for one host, which TLS ends before: Secure is sent. Shares nothing with the one in the package."""

    def __init__(self, cookies: Mapping[str, str]) -> None:
        self.cookies: dict[tuple[str, str], tuple[str, Attributes]] = {
            (name, "/"): (value, {}) for name, value in cookies.items()
        }

    def take(self, path: str, set_cookies: Iterable[str]) -> None:
        """Keep, replace or forget cookies that came from a path."""
        for line in set_cookies:
            pair, *rest = line.split(";")
            name, _, value = pair.strip().partition("=")
            attributes = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
            if not attributes.get("path", "").startswith("/"):
                attributes["path"] = path.rpartition("/")[0] or "/"
            key = name, attributes["path"]
            if is_over(attributes):
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = value, attributes

    def header(self, path: str, *, fixed: Mapping[str, str]) -> str:
        """What is sent to a path, longest path first; `fixed` cookies are as they are, whatever was set since."""
        sent = (
            (n, where, value) for (n, where), (value, _) in self.cookies.items() if fits(path, where) and n not in fixed
        )
        matching = sorted(sent, key=lambda cookie: -len(cookie[1]))
        return "; ".join([*(f"{name}={value}" for name, value in fixed.items()), *(f"{n}={v}" for n, _, v in matching)])


def is_over(attributes: Attributes) -> bool:
    """Max-Age goes before Expires (section 5.3)."""
    if "max-age" in attributes:
        return int(attributes["max-age"]) <= 0
    return "expires" in attributes and parsedate_to_datetime(attributes["expires"]) <= datetime.now(UTC)


def fits(path: str, where: str) -> bool:
    """Path matching (section 5.1.4)."""
    return path == where or (path.startswith(where) and (where.endswith("/") or path[len(where)] == "/"))
