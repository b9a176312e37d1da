"""The project's settings, for tests: no DEBUG, a fast password hash, and the routes of tests/urls.py."""

import os

from project.settings import *

DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_AUTOREFRESH = True  # Otherwise it warns that nobody has run collectstatic.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # Django 6.1 asks for it.
# A view that is called twice runs twice, and once for each call, unless a test asks for more.
BATCHAPI = {**BATCHAPI, "ENABLE_CACHING": False, "RETRY_ATTEMPTS": 1, "CIRCUIT_THRESHOLD": None}
# For atomic groups, which write to one database only.
DATABASES["other"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "TEST": {"MIGRATE": False}}

# A folder here has test databases in files: only there, and not in memory, can lanes have connections of their own.
if TEST_DATABASE_FOLDER := os.environ.get("TEST_DATABASE_FOLDER"):
    for alias, database in DATABASES.items():
        if database["ENGINE"] == "django.db.backends.sqlite3":
            name = (
                f"{TEST_DATABASE_FOLDER}/{alias}.sqlite3"  # To which pytest-django adds the name of the xdist worker.
            )
            database.update(NAME=name, TEST={**database.get("TEST", {}), "NAME": name})
