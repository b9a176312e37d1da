"""One template database per process; a harness for each test that asks for one, with ATOMIC_REQUESTS off or on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.cast import make_template
from tests.differential.harness import Harness
from tests.differential.stage import open_stage


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, django_db_blocker) -> Path:
    """A SQLite file with the cast."""
    path = tmp_path_factory.mktemp("template") / "template.sqlite3"
    with django_db_blocker.unblock():
        make_template(path)
    return path


@pytest.fixture
def loose_harness(template: Path, tmp_path: Path, django_db_blocker) -> Iterator[Harness]:
    """A harness that does not mind in which order things are logged, nor how often."""
    with django_db_blocker.unblock(), open_stage(template, tmp_path / "stage.sqlite3") as stage:
        yield Harness.on(stage, is_loose=True)


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic"])
def harness(request: pytest.FixtureRequest, template: Path, tmp_path: Path, django_db_blocker) -> Iterator[Harness]:
    """A harness on a fresh database."""
    path = tmp_path / "stage.sqlite3"
    with django_db_blocker.unblock(), open_stage(template, path, ATOMIC_REQUESTS=request.param) as stage:
        yield Harness.on(stage)
