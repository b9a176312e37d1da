"""The door itself: what Django makes of the batch view."""

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connections

from batchapi.views import BatchView


@pytest.mark.parametrize("alias", ["default", "other"])
def test_the_batch_itself_is_in_no_transaction(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whichever database: it would be around all sub-requests."""
    monkeypatch.setitem(connections.settings[alias], "ATOMIC_REQUESTS", True)
    view = BatchView.as_view()
    assert BaseHandler().make_view_atomic(view) is view
