"""Which of the tests here belong to which database, and what those of late views have in common."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.rerun import IS_RERUN

collect_ignore = (
    []
    if connection.vendor == "postgresql"
    else ["test_deadlock.py", "test_few_connections.py", "test_late_postgresql.py"]
)
if IS_RERUN:
    collect_ignore += ["test_postgresql.py", "test_sqlite_file.py", "test_late_processes.py"]
else:  # A database in memory has one lane, on which nobody runs beside anybody.
    collect_ignore += ["test_overtaken.py", "test_lanes.py", "test_throttles.py", "test_late_lanes.py"]


@pytest.fixture
def late_views(transactional_db: None) -> Iterator[None]:
    """No view is left behind."""
    from tests.execute.slow import HAPPENED, HOLDS, let_go

    HAPPENED.clear()
    HOLDS.clear()
    yield
    let_go()
