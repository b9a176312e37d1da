"""Names that others depend on: settings, codes and the face of the package agree with the docs."""

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import batchapi
from batchapi import conf, exceptions

ROOT = Path(__file__).resolve().parent.parent


def concrete(kind: type[exceptions.BatchError]) -> list[type[exceptions.BatchError]]:
    """The errors of a kind that have a code."""
    found = [value for value in vars(exceptions).values() if inspect.isclass(value) and issubclass(value, kind)]
    return [error for error in found if hasattr(error, "code")]


def test_the_face_is_what_it_says() -> None:
    decorators, calls = (
        ["batch_exempt", "batch_policy", "batchable"],
        ["get_batch_processor", "handle_batch_request", "invalidate"],
    )
    assert batchapi.__all__ == ["EnvelopeError", *decorators, *calls]
    assert all(callable(getattr(batchapi, name)) for name in batchapi.__all__)


def test_the_version_is_written_once_more_in_pyproject() -> None:
    assert f'version = "{batchapi.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_docs_settings_tells_of_every_setting_and_its_default() -> None:
    """Each row reads | `NAME` | default | meaning |, in the order of conf.py."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \|$", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    expected = [
        (field.name, f"`{written(field.default)}`") for group in conf.GROUPS.values() for field in fields(group)
    ]
    assert [(name, default) for name, default, _ in rows] == expected


def written(value: object) -> str:
    """A default as a person writes it."""
    if isinstance(value, int) and not isinstance(value, bool) and value % conf.KiB == 0:
        return f"{value // conf.MiB} * 1024 * 1024" if value % conf.MiB == 0 else f"{value // conf.KiB} * 1024"
    return repr(value)


def test_every_setting_has_a_type_that_the_checks_know() -> None:
    allowed = {
        bool,
        int,
        str,
        float,
        float | None,
        str | None,
        tuple[int, ...],
        tuple[str, ...],
        tuple[tuple[str, str], ...],
    }
    assert {kind for group in conf.GROUPS.values() for kind in get_type_hints(group).values()} <= allowed


def test_docs_errors_tells_of_every_code() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    expected = [
        (str(error.status), error.code)
        for kind in (exceptions.EnvelopeError, exceptions.SubRequestError)
        for error in sorted(concrete(kind), key=lambda error: error.status)
    ]
    assert sorted(rows) == sorted(expected)


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in concrete(exceptions.BatchError)]
    assert len(codes) == len(set(codes))


def test_the_tree_at_the_top_of_the_module_shows_every_error() -> None:
    assert exceptions.__doc__
    names = set(re.findall(r"\b[A-Z][a-zA-Z]+\b", exceptions.__doc__))
    assert {error.__name__ for error in concrete(exceptions.BatchError)} <= names


def test_docs_lanes_tells_of_every_signal_and_its_keywords() -> None:
    """Each row reads | `name` | `keyword`, `keyword` | …; the keywords are those in the comment behind the signal."""
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", (ROOT / "docs/lanes.md").read_text(), re.MULTILINE)
    told = {name: re.findall(r"`(\w+)`", keywords) for name, keywords in rows}
    lines = re.findall(r"^(\w+) = Signal\(\)  # (.+)$", (ROOT / "batchapi/signals.py").read_text(), re.MULTILINE)
    assert told == {name: re.findall(r"(\w+): ", comment) for name, comment in lines}
