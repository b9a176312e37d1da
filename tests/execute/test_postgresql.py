"""All tests of this folder once more on a real PostgreSQL, which ends a transaction at the first error."""

from pathlib import Path

from tests.rerun import assert_passes_on_postgresql


def test_batches_do_the_same_on_postgresql(postgres_url: str, tmp_path: Path):
    assert_passes_on_postgresql(Path(__file__).parent, postgres_url, files=tmp_path)
