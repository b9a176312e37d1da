"""A folder of tests in, the same tests run on a real PostgreSQL: in a process of its own, settings are read once."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def assert_passes_on_postgresql(folder: Path, postgres_url: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(folder)]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DATABASE_URL": postgres_url}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
