"""What is asked, and by whom: the nouns that both arms read. Printed as a table when they differ."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
SESSION_COOKIE, CSRF_COOKIE = "sessionid", "csrftoken"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request. A body that is neither text nor bytes is sent as JSON."""

    method: str = "GET"
    url: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    priority: str | None = None
    depends_on: tuple[int, ...] = ()  # places in the list

    def content(self) -> tuple[bytes, str | None]:
        """Body and Content-Type of the request on its own."""
        content_type = self.headers.get("Content-Type")
        if self.body is None:
            return b"", content_type
        if isinstance(self.body, bytes):
            return self.body, content_type
        if isinstance(self.body, str) and content_type:
            return self.body.encode(), content_type
        return json.dumps(self.body, separators=(",", ":")).encode(), content_type or JSON

    def record(self) -> dict[str, Any]:
        """The same request inside a batch."""
        body = b64encode(self.body).decode() if isinstance(self.body, bytes) else self.body
        record = {"method": self.method, "url": self.url, "headers": dict(self.headers), "body": body}
        links = [str(place) for place in self.depends_on]
        return record | {"priority": self.priority, "dependsOn": links}

    def __repr__(self) -> str:
        """As a row of a table."""
        extras = {"headers": self.headers, "priority": self.priority, "dependsOn": self.depends_on}
        told = " ".join(f"{name}={value}" for name, value in extras.items() if value)
        return f"{self.method:<7} {self.url:<40} {'' if self.body is None else self.body!r} {told}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One client: the cookies and headers that it sends with everything."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The name says it."""
        return self.name


def table(caller: Caller, asks: Sequence[Ask]) -> str:
    """The requests of an example, one per line."""
    rows = (f"  {place:>2} {ask!r}" for place, ask in enumerate(asks))
    return "\n".join([f"{caller.name} asks", *rows])
