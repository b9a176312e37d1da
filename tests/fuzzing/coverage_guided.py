"""The targets of this folder for Atheris, which follows the branches that an input takes.

    pip install atheris
    python -m tests.fuzzing.coverage_guided parser -max_total_time=60

The first word is the target (parser, urls or headers), all others are libFuzzer's. Whatever raises ends the run, and
its input is written to a file whose name is the first word behind the options when it is to be tried again.
"""

import os
import sys
from collections.abc import Callable

import atheris  # type: ignore[import-not-found]  # For those who have it; not a dependency, see docs/testing.md.

with atheris.instrument_imports(include=["batchapi", "jsonpointer"]):
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.conf import settings

    settings.ROOT_URLCONF = "tests.security.urls"
    from batchapi.conf import Limits
    from batchapi.exceptions import EnvelopeError
    from batchapi.parse.headers import parse_headers
    from tests.fuzzing.reading import parent, read
    from tests.fuzzing.test_parser import check_alignment
    from tests.fuzzing.test_urls import check

SEEDS = {  # What an input is put into, so that the first ones get past the first check.
    "parser": b'[{"url":"/api/items/x/","id":"a"},{"url":"$a/{v}","bind":{"{v}":"$a.body#/x"},"if":"$a/$succeeded"}]',
    "urls": b"http://testserver/api/items/%78/?a=1",
    "headers": b"Content-Type\ntext/plain; charset=utf-8",
}


def parser(raw: bytes) -> None:
    """Bytes are a batch or refused."""
    check_alignment(read(raw))


def urls(raw: bytes) -> None:
    """A URL reaches what it reaches alone."""
    check(raw.decode(errors="surrogateescape"))


def headers(raw: bytes) -> None:
    """A name and a value are one variable of the list, or none."""
    name, _, value = raw.decode(errors="surrogateescape").partition("\n")
    try:
        found = parse_headers({name: value}, here="#", parent=parent(), limits=Limits())
    except EnvelopeError:
        return
    wanted = name.upper().replace("-", "_")
    assert set(found) <= {"CONTENT_TYPE" if wanted == "CONTENT_TYPE" else f"HTTP_{wanted}"}
    assert not any(set(text) & set("\r\n\0") for text in found.values())


TARGETS: dict[str, Callable[[bytes], None]] = {"parser": parser, "urls": urls, "headers": headers}


def main() -> None:
    """Seed a corpus beside nothing else, and hand over to libFuzzer, which does not come back."""
    name = sys.argv.pop(1)
    TARGETS[name](SEEDS[name])
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
