"""`python -m tests.cache.machine.other`: lines of JSON in, each a call of a `Writer`; what it returned out."""

import json
import sys
import traceback
from typing import Any

import django
from django.conf import settings


def set_up(given: dict[str, Any]) -> None:
    """Have the database and the cache of the process that started us."""
    for alias, name in given["databases"].items():
        settings.DATABASES[alias]["NAME"] = name
    settings.CACHES = given["caches"]
    settings.BATCHAPI = {**settings.BATCHAPI, **given["batchapi"]}
    settings.ROOT_URLCONF = "tests.cache.machine.views"
    django.setup()


def main() -> None:
    """Answer line by line until there are no more."""
    out, sys.stdout = sys.stdout, sys.stderr  # What else is printed is no answer.
    set_up(json.loads(sys.stdin.readline()))
    from tests.cache.machine.writer import Writer, the_store

    writer = Writer()
    the_store()
    answer: dict[str, Any] = {"done": None}
    while True:
        out.write(json.dumps(answer) + "\n")
        out.flush()
        if not (line := sys.stdin.readline()):
            break
        name, *args = json.loads(line)
        try:
            answer = {"done": getattr(writer, name)(*args)}
        except BaseException:
            answer = {"failed": traceback.format_exc()}
    writer.close()


if __name__ == "__main__":
    main()
