"""A folder of tests in, the same tests run on another database: in a process of its own, settings are read once."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "TEST_DATABASE_FOLDER"  # The environment variable that says where test databases of SQLite are files.

IS_RERUN = FOLDER in os.environ  # We are inside one; a test that starts one must not start another.


def assert_passes_on_postgresql(folder: Path, postgres_url: str, *, files: Path) -> None:
    """Run a folder's tests on a PostgreSQL; what is SQLite all the same is a file in another folder.

    Its lines are not counted: they were on SQLite, and counting doubles the time.
    """
    assert_passes(folder, COVERAGE_PROCESS_CONFIG="", DATABASE_URL=postgres_url, **{FOLDER: str(files)})


def assert_passes_on_sqlite_files(folder: Path, *, files: Path) -> None:
    """Run a folder's tests on SQLite files, as no connection in memory can be opened twice."""
    assert_passes(folder, DATABASE_URL=f"sqlite:///{files}/unused", **{FOLDER: str(files)})


def assert_passes(folder: Path, **environment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "rerun", **environment}
    environment = {name: value for name, value in environment.items() if value}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
