"""All tests of this folder, on SQLite files and on a real PostgreSQL: nothing is kept of a database in memory."""

from pathlib import Path

from tests.rerun import assert_passes_on_postgresql, assert_passes_on_sqlite_files

FOLDER = Path(__file__).parent


def test_answers_are_kept_and_outdated_on_sqlite_files(tmp_path: Path) -> None:
    assert_passes_on_sqlite_files(FOLDER, files=tmp_path)


def test_answers_are_kept_and_outdated_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    assert_passes_on_postgresql(FOLDER, postgres_url, files=tmp_path)
