"""All tests of this folder once more on a real PostgreSQL, which ends a transaction at the first error."""

import os
import subprocess
import sys
from pathlib import Path


def test_batches_do_the_same_on_postgresql(postgres_url: str):
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(here)]

    run = subprocess.run(
        command,
        cwd=here.parent.parent,
        env={**os.environ, "DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
