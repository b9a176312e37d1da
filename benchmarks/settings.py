"""A start-project around the benchmark's own views: the database of DATABASE_URL, the default middleware, DEBUG off."""

import os
from pathlib import Path

from project.stores import read_caches, read_database

SECRET_KEY = "not-a-secret: this project serves nobody"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "benchmarks.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": read_database(Path("unused.sqlite3"))}
CACHES = read_caches(os.environ.get("REDIS_URL", ""))
BATCHAPI = {"MAX_BATCH_SIZE": 1000, "ENABLE_CACHING": False}  # What is kept has rows of its own.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "batchapi",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
