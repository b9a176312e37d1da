"""All tests of this folder once more on a real PostgreSQL, but for those that start processes on both by themselves."""

from pathlib import Path

from tests.rerun import assert_passes_on_postgresql


def test_keys_do_the_same_on_postgresql(postgres_url: str, tmp_path: Path):
    assert_passes_on_postgresql(Path(__file__).parent, postgres_url, files=tmp_path)
