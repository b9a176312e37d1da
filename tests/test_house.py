"""What holds for the tree as a whole: who imports whom, and that no test is quietly left out."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parent.parent


def outcomes(folder: Path, *, ci: str) -> tuple[dict[str, int], str]:
    """How the tests of a folder end, with this suite's conftest as a plugin, and what pytest printed."""
    options = [
        "-p",
        "tests.conftest",
        "-p",
        "no:django",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        folder,
    ]
    command = [sys.executable, "-m", "pytest", "--continue-on-collection-errors", *options, folder]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "BATCHAPI_CI": ci}, capture_output=True, text=True)
    counts = re.findall(r"(\d+) (\w+)", run.stdout.splitlines()[-1].split(" in ")[0])
    return {outcome: int(count) for count, outcome in counts}, run.stdout


@pytest.fixture
def absentees(tmp_path: Path) -> Path:
    """One test that skips, one module that skips itself, one test that fails as it was said to."""
    skip = "def test_skips():\n    pytest.skip('no server')\n"
    expected = "@pytest.mark.xfail(strict=True)\ndef test_fails():\n    raise ValueError\n"
    (tmp_path / "test_one.py").write_text(f"import pytest\n\n{skip}\n{expected}")
    (tmp_path / "test_two.py").write_text("import pytest\n\npytest.importorskip('no_such_module')\n")
    return tmp_path


@pytest.fixture
def _loggers():
    """import-linter switches off every logger that there is, and later tests would wait for their words."""
    before = {
        logger: logger.disabled for logger in logging.root.manager.loggerDict.values() if hasattr(logger, "disabled")
    }
    yield
    for logger, is_disabled in before.items():
        logger.disabled = is_disabled


@pytest.mark.usefixtures("_loggers")
def test_every_import_contract_is_kept(capsys):
    """The contracts of pyproject.toml: doors over rooms over ground, and no loop."""
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_in_ci_a_skip_is_a_failure(absentees):
    """A server that is missing there would pass for one that works; an expected failure did run."""
    counts, printed = outcomes(absentees, ci="1")
    assert counts == {"failed": 1, "error": 1, "xfailed": 1}
    assert printed.count("BATCHAPI_CI=1 allows no skips") >= 2


def test_elsewhere_a_skip_is_a_skip(absentees):
    """Whoever has no PostgreSQL can still work on everything else."""
    counts, _ = outcomes(absentees, ci="")
    assert counts == {"skipped": 2, "xfailed": 1}
