"""On PostgreSQL we are inside the run that test_postgresql.py started, which must not start another."""

from django.db import connection

collect_ignore = ["test_postgresql.py" if connection.vendor == "postgresql" else "test_deadlock.py"]
