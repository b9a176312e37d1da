"""DJANGO_ENV=production: what it asks for, in words, and that Django's own audit finds nothing to say."""

from pathlib import Path

import pytest

from tests.project.processes import COMPLETE, last_line, python, read_settings


@pytest.mark.parametrize(
    ("missing", "example"),
    [
        ("SECRET_KEY", "the output of `openssl rand -base64 48`"),
        ("ALLOWED_HOSTS", "chat.example.com"),
        ("CSRF_TRUSTED_ORIGINS", "https://chat.example.com"),
    ],
)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_missing_is_named_with_an_example(missing: str, example: str, value: str | None):
    environment = {name: said for name, said in COMPLETE.items() if name != missing}
    run = python("manage.py", "check", **environment, **({} if value is None else {missing: value}))

    assert run.returncode == 1
    sentence = f"Set {missing}, for example {example}: DJANGO_ENV=production does not run without it."
    assert last_line(run) == f"django.core.exceptions.ImproperlyConfigured: {sentence}"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DJANGO_ENV", "prod", "DJANGO_ENV is 'prod'; set it to development or production."),
        ("TRUSTED_PROXIES", "-1", "TRUSTED_PROXIES is '-1'; set it to a whole number such as 0."),
    ],
)
def test_what_is_wrong_is_quoted(name: str, value: str, sentence: str):
    run = python("manage.py", "check", **{name: value})

    assert run.returncode == 1
    assert last_line(run).endswith(sentence)


@pytest.mark.parametrize("proxies", ["0", "1"])
def test_the_deployment_check_has_nothing_to_say(redis_url: str, postgres_url: str, proxies: str):
    stores = {"REDIS_URL": redis_url, "DATABASE_URL": postgres_url, "TRUSTED_PROXIES": proxies}
    run = python("-W", "error", "manage.py", "check", "--deploy", "--fail-level", "WARNING", **COMPLETE, **stores)

    assert run.returncode == 0, run.stderr
    assert "no issues" in run.stdout


def test_production_is_strict():
    strict = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "DEBUG", "ALLOWED_HOSTS")

    assert read_settings(*strict, **COMPLETE) == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "DEBUG": False,
        "ALLOWED_HOSTS": ["chat.example.com", "api.example.com"],
    }


def test_development_needs_nothing():
    assert read_settings("DEBUG", "SECURE_SSL_REDIRECT") == {"DEBUG": True, "SECURE_SSL_REDIRECT": False}
    assert python("-W", "error", "manage.py", "check").returncode == 0


def test_no_migration_is_missing(tmp_path: Path):
    run = python("manage.py", "makemigrations", "--check", "--dry-run", DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    assert run.returncode == 0, run.stdout


def test_probes_come_in_without_tls_and_everything_else_is_sent_to_it(tmp_path: Path):
    code = """
import django; django.setup()
from django.test import Client
client = Client(headers={"host": "chat.example.com"})
print([client.get(path).status_code for path in ("/livez", "/readyz", "/admin/", "/api/stats/", "/livez/x")])
"""
    run = python("-c", code, **COMPLETE, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")

    assert run.stdout.strip() == "[200, 200, 301, 301, 301]", run.stderr


def test_both_entry_points_load():
    run = python("-W", "error", "-c", "from project import asgi, wsgi; print(asgi.application, wsgi.application)")
    assert run.returncode == 0, run.stderr
