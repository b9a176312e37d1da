"""The published document, and the parts of it that tests talk of."""

import json
from typing import Any

from tests.test_names import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
PATH = "/api/batch/"


def post() -> dict[str, Any]:
    """What the document says of the only operation."""
    operation: dict[str, Any] = DOCUMENT["paths"][PATH]["post"]
    return operation
