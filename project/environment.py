"""Environment variables in, values for the settings out; one that is missing or wrong is named in a sentence."""

import os

from django.core.exceptions import ImproperlyConfigured


def read_choice(name: str, *choices: str) -> str:
    """The first choice is the default."""
    value = os.environ.get(name) or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to {' or '.join(choices)}.")
    return value


def read_required(name: str, *, example: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ImproperlyConfigured(f"Set {name}, for example {example}: DJANGO_ENV=production does not run without it.")
    return value


def read_number(name: str, *, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to a whole number such as {default}.")
    return int(value)


def split_list(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]
