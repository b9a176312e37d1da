"""Real servers for the tests that ask for them, and how hard Hypothesis looks.

Under BATCHAPI_CI=1 a test that did not run has failed: everything that a test could need is installed there.
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest
from django.utils.translation import deactivate
from hypothesis import HealthCheck, settings

from tests.servers import NoServer, postgres_server, redis_server

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

IS_CI = os.environ.get("BATCHAPI_CI") == "1"

# No deadline: a slow machine is not a bug. In CI the same examples each time: a red run can be run again.
settings.register_profile("dev", max_examples=50, deadline=None)
SLOW = (HealthCheck.too_slow,)  # Neither is a machine on which it takes a while to think of an example.
settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("rerun", max_examples=60, deadline=None, derandomize=IS_CI, suppress_health_check=SLOW)
settings.register_profile("deep", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IS_CI else "dev"))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis that belongs to this test process alone."""
    yield from served(redis_server)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL that belongs to this test process alone."""
    yield from served(postgres_server)


def served(server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    try:
        with server() as url:
            yield url
    except NoServer as missing:
        pytest.skip(str(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return no_skip_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return no_skip_in_ci((yield))


def no_skip_in_ci(report: Report) -> Report:
    if IS_CI and report.skipped and not hasattr(report, "wasxfail"):  # An expected failure did run.
        report.outcome = "failed"
        report.longrepr = f"skipped, and BATCHAPI_CI=1 allows no skips: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _the_language_of_the_settings() -> Iterator[None]:
    """A view that is called alone, by Django itself, leaves its language behind on this thread."""
    yield
    deactivate()
