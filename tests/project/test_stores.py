"""DATABASE_URL and REDIS_URL move the project to real servers; without them it runs on a file and in memory."""

import json
from pathlib import Path

import pytest

from tests.project.processes import ROOT, last_line, python

# What one process of the project runs on, and whether a row and a cached value come back from there.
PROBE = """
import json, django
django.setup()
from django.core.cache import cache, caches
from django.core.management import call_command
from django.db import connection
call_command("migrate", verbosity=0)
call_command("seed_demo", users=1, sessions=2, messages=3, verbosity=0)
from chat.models import Message
cache.set("kept", {"yes": [1, 2.5, None]})
print(json.dumps({
    "database": connection.vendor,
    "cache": type(caches["default"]).__name__,
    "messages": Message.objects.count(),
    "kept": cache.get("kept"),
    "pool": bool(getattr(connection, "pool", None)),
}))
"""
PASSWORD = {"DEMO_PASSWORD": "open sesame"}


def probe(**environment: str) -> dict[str, object]:
    run = python("-W", "error", "-c", PROBE, **PASSWORD, **environment)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_sqlite_file_and_memory_are_enough(tmp_path: Path):
    assert probe(DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3") == {
        "database": "sqlite",
        "cache": "LocMemCache",
        "messages": 6,
        "kept": {"yes": [1, 2.5, None]},
        "pool": False,
    }
    assert (tmp_path / "db.sqlite3").exists()


def test_without_a_url_the_file_lies_beside_manage_py():
    run = python("-c", "from project.settings import DATABASES; print(DATABASES['default']['NAME'])")
    assert run.stdout.strip() == str(ROOT / "db.sqlite3")


@pytest.mark.parametrize("size", ["0", "4"])
def test_the_urls_move_it_to_postgresql_and_redis(postgres_url: str, redis_url: str, size: str):
    found = probe(DATABASE_URL=postgres_url, REDIS_URL=redis_url, DATABASE_POOL_SIZE=size)

    assert found == {
        "database": "postgresql",
        "cache": "RedisCache",
        "messages": 6,
        "kept": {"yes": [1, 2.5, None]},
        "pool": size != "0",
    }


@pytest.mark.parametrize("size", ["many", "-1", "²"])
def test_a_pool_size_that_is_no_number_is_quoted(postgres_url: str, size: str):
    run = python("manage.py", "check", DATABASE_URL=postgres_url, DATABASE_POOL_SIZE=size)

    assert run.returncode == 1
    assert last_line(run).endswith(f"DATABASE_POOL_SIZE is {size!r}; set it to a whole number such as 0.")


def test_what_redis_keeps_is_json(redis_url: str):
    code = "import django; django.setup()\nfrom django.core.cache import cache\ncache.set('key', object())"
    run = python("-c", code, REDIS_URL=redis_url)

    assert last_line(run) == "TypeError: Object of type object is not JSON serializable"
