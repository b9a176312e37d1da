"""The environment in, Django's settings out; with no variable set, a development server on SQLite.

DJANGO_ENV               development (default) or production
SECRET_KEY               required in production
ALLOWED_HOSTS            required in production: host names, separated by commas
CSRF_TRUSTED_ORIGINS     required in production: https://host, separated by commas
DATABASE_URL             sqlite:////absolute/path or postgres://user:password@host/name (default: db.sqlite3)
DATABASE_POOL_SIZE       PostgreSQL connections that one process keeps in a pool (default 0: no pool)
REDIS_URL                redis://host:6379/0 (default: a cache in the memory of each process)
TRUSTED_PROXIES          proxies in front that append to X-Forwarded-For and set X-Forwarded-Proto (default 0)
LOG_LEVEL                of everything but Django's own chatter (default INFO)
"""

import os
from pathlib import Path

from project.environment import read_choice, read_number, read_required, split_list
from project.stores import read_caches, read_database

BASE_DIR = Path(__file__).resolve().parent.parent

IS_PRODUCTION = read_choice("DJANGO_ENV", "development", "production") == "production"
TRUSTED_PROXIES = read_number("TRUSTED_PROXIES", default=0)
REDIS_URL = os.environ.get("REDIS_URL", "")

# Who may ask

DEBUG = not IS_PRODUCTION
if IS_PRODUCTION:
    SECRET_KEY = read_required("SECRET_KEY", example="the output of `openssl rand -base64 48`")
    ALLOWED_HOSTS = split_list(read_required("ALLOWED_HOSTS", example="chat.example.com"))
    CSRF_TRUSTED_ORIGINS = split_list(read_required("CSRF_TRUSTED_ORIGINS", example="https://chat.example.com"))
else:
    SECRET_KEY = os.environ.get("SECRET_KEY") or "django-insecure-for-development-only"
    ALLOWED_HOSTS = split_list(os.environ.get("ALLOWED_HOSTS", ""))  # Empty with DEBUG on: localhost.
    CSRF_TRUSTED_ORIGINS = split_list(os.environ.get("CSRF_TRUSTED_ORIGINS", ""))

SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz)$"]  # Probes come from inside, without TLS.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
X_FRAME_OPTIONS = "DENY"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# What runs

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",  # Before staticfiles: runserver then serves them as production does.
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "batchapi",
    "chat",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",  # First, so that anonymous is 401 and not 403.
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [
        "chat.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    # Without a number DRF believes any X-Forwarded-For, and a throttle by address is a throttle of nobody.
    "NUM_PROXIES": TRUSTED_PROXIES,
}

BATCHAPI = {
    "PRIORITY_RULES": (
        ("POST auth-login", "critical"),
        ("POST auth-token", "critical"),
        ("POST session-list", "critical"),
        ("GET stats", "background"),
    ),
    # 50 a second, in batches of up to 100; who tries things out in development is left alone.
    "BATCH_RATE": "3000/min" if IS_PRODUCTION else None,
}

# Where it is kept

DATABASES = {"default": read_database(BASE_DIR / "db.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = read_caches(REDIS_URL)

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        # The names with a hash need `collectstatic`, which nobody runs in development.
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# How it speaks

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL") or "INFO"},
    # Django's own handlers stay silent without DEBUG; here each record goes to the console, once.
    "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
}
