"""Which of the tests here belong to which database."""

from django.db import connection

from tests.rerun import IS_RERUN

collect_ignore = [] if connection.vendor == "postgresql" else ["test_deadlock.py", "test_few_connections.py"]
if IS_RERUN:
    collect_ignore += ["test_postgresql.py", "test_sqlite_file.py"]
else:  # A database in memory has one lane, on which nobody runs beside anybody.
    collect_ignore += ["test_overtaken.py", "test_lanes.py", "test_throttles.py"]
