"""Keyed batches, and what a test wants to know of their answers."""

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from batchapi.models import IdempotencyRecord

Item = dict[str, Any]
REPLAYED = "Idempotent-Replayed"


def do(name: str, end: str = "201", view: str = "write", **more: Any) -> Item:
    return {"id": name, "method": "POST", "url": f"/api/{view}/{name}/{end}/", "body": {"said": name}, **more}


def own(key: str) -> Item:
    """The headers of a sub-request with a key of its own."""
    return {"headers": {"Idempotency-Key": key}}


def send(client: Client, *items: Item, key: str | None = "k", **members: Any) -> Any:
    """The outer response."""
    headers = {} if key is None else {"Idempotency-Key": key}
    payload = {"requests": items, **members}
    return client.post("/api/batch/", payload, content_type="application/json", headers=headers)


def ask(client: Client, *items: Item, key: str | None = "k", **members: Any) -> list[Item]:
    """The records of a batch that was accepted."""
    response = send(client, *items, key=key, **members)
    assert response.status_code == 200, response.content
    records: list[Item] = response.json()["responses"]
    return records


def refusal(client: Client, *items: Item, key: str | None = "k", **members: Any) -> tuple[int, str, Item]:
    """Status, code and place of what a batch was refused for."""
    response = send(client, *items, key=key, **members)
    problem = response.json()
    [error] = problem["errors"]
    return response.status_code, problem["code"], {name: error[name] for name in error if name != "detail"}


def fates(records: list[Item]) -> list[tuple[int, bool]]:
    """Each status, and whether the answer was given again."""
    return [(record["status"], REPLAYED in record["headers"]) for record in records]


def let_time_pass(**columns: Any) -> None:
    """The holders of all keys have been gone for longer than any batch takes; or what else is given."""
    IdempotencyRecord.objects.update(**(columns or {"lease": timezone.now() - timedelta(seconds=1)}))
