"""All tests of this folder once more on SQLite files, where a batch may have more than one lane."""

from pathlib import Path

from tests.rerun import assert_passes_on_sqlite_files


def test_batches_do_the_same_on_sqlite_files(tmp_path: Path):
    assert_passes_on_sqlite_files(Path(__file__).parent, files=tmp_path)
