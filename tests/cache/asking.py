"""Batches, and what the cache said of each answer."""

import json
from typing import Any

from django.test import Client

Record = dict[str, Any]


def ask(*urls: str | Record, client: Client | None = None, **headers: str) -> list[Record]:
    """The answers to some URLs, in one batch; the headers are the batch's own."""
    client = client or Client(raise_request_exception=False)
    requests = [{"url": url} if isinstance(url, str) else url for url in urls]
    payload = json.dumps({"requests": requests})
    response = client.post("/api/batch/", payload, content_type="application/json", headers=headers)
    assert response.status_code == 200, response.content
    records: list[Record] = response.json()["responses"]
    return records


def said(record: Record) -> str:
    """What the cache says of an answer, without the seconds: "hit", "fwd=miss; stored"."""
    value = str(record["headers"].get("Cache-Status", ""))
    assert not value or value.startswith("batchapi; "), value
    words = value.removeprefix("batchapi; ").split("; ")
    return "; ".join(word for word in words if not word.startswith("ttl="))


def fates(*urls: str | Record, client: Client | None = None, **headers: str) -> list[str]:
    """What the cache says of the answers of one batch."""
    return [said(record) for record in ask(*urls, client=client, **headers)]


def fate(url: str | Record, client: Client | None = None, **headers: str) -> str:
    [found] = fates(url, client=client, **headers)
    return found
