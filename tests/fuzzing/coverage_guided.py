"""The targets of this folder for Atheris, which follows the branches that an input takes.

    pip install atheris
    python -m tests.fuzzing.coverage_guided parser -max_total_time=60

The first word is the target (parser, headers, batches or urls), all others are libFuzzer's. Whatever raises ends the
run, and its input is written to a file, which is tried again when its name is given behind the options.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

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
    from tests.fuzzing.test_parser import check_alignment, test_a_batch_with_odd_values_is_a_batch_or_refused
    from tests.fuzzing.test_urls import test_an_accepted_url_reaches_the_view_that_its_string_reaches

SEEDS = {  # What gets past the first check.
    "parser": b'[{"url":"/api/items/x/","id":"a"},{"url":"$a/{v}","bind":{"{v}":"$a.body#/x"},"if":"$a/$succeeded"}]',
    "headers": b"Content-Type\ntext/plain; charset=utf-8",
}


def parser(raw: bytes) -> None:
    """Bytes are a batch or refused."""
    check_alignment(read(raw))


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


# Hypothesis reads an input of these as the choices that make a batch or a URL, so each one is nearly right.
TARGETS: dict[str, Callable[[bytes], object]] = {
    "parser": parser,
    "headers": headers,
    "batches": test_a_batch_with_odd_values_is_a_batch_or_refused.hypothesis.fuzz_one_input,
    "urls": test_an_accepted_url_reaches_the_view_that_its_string_reaches.hypothesis.fuzz_one_input,
}


def main() -> None:
    """Give libFuzzer a first input to start from, and hand over to it; it does not come back."""
    name = sys.argv.pop(1)
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzzing-{name}-"))
    (corpus / "first").write_bytes(SEEDS.get(name, bytes(range(256))))
    atheris.Setup([*sys.argv, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
