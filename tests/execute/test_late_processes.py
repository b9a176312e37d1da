"""What is late as a whole process sees it: without threads, after a fork, after Ctrl-C. On SQLite files, once."""

import json
import os
import subprocess
import sys
from typing import Any

NO_THREAD = """
import django, json, threading
django.setup()
from django.core.management import call_command
from django.test import override_settings
call_command("migrate", verbosity=0)
from tests.execute.slow import ask, do
with override_settings(ROOT_URLCONF="tests.execute.slow"):
    usual = threading.stack_size(1 << 46)  # No machine has so much.
    print(json.dumps(ask(do("read"), do("read", "GET"))))
    threading.stack_size(usual)
    print(json.dumps(ask(do("read"))))
"""
FORKED = """
import django, os
django.setup()
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
call_command("migrate", verbosity=0)
from batchapi.execute.abandoned import abandoned
from tests.execute.slow import ask, do, late, let_go
LIMITS = {"MAX_ABANDONED_PER_CALLER": 1}
with override_settings(ROOT_URLCONF="tests.execute.slow"):
    ask(late("hold", "GET"), **LIMITS)
    assert ask(do("read"), **LIMITS)[0].status == 503
    connections.close_all()
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        let_go()
    else:
        os._exit(0 if not abandoned and ask(do("read"), **LIMITS)[0].status == 200 else 1)
"""


INTERRUPTED = """
import django, os, signal
django.setup()
from django.core.management import call_command
from django.test import override_settings
call_command("migrate", verbosity=0)
from batchapi.execute.threads import pool
from tests.execute.slow import HAPPENED, HOLDS, ask, do, in_background, late, let_go, wait_until
with override_settings(ROOT_URLCONF="tests.execute.slow"):
    ask(do("read"))
    waiting = HOLDS[""].is_entered
    in_background(lambda: waiting.wait(20) and os.kill(os.getpid(), signal.SIGINT))
    try:
        ask(do("hold"), do("write:a"))
    except KeyboardInterrupt:
        print("interrupted")
    let_go()
    wait_until(lambda: pool.working == 0)
    assert "called write:a" not in HAPPENED
    print(ask(do("read"))[0].status)
"""


def run_script(script: str, folder: Any) -> list[str]:
    url = {"DATABASE_URL": f"sqlite:///{folder}/script.sqlite3", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    environment = {**os.environ, **url, "PYTHONWARNINGS": "ignore"}
    environment.pop("TEST_DATABASE_FOLDER", None)
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_without_a_thread_there_is_no_lane(tmp_path: Any):
    """The batch says so, and does not wait for one that never came to be."""
    refused, served = map(json.loads, run_script(NO_THREAD, tmp_path))
    assert refused == [[503, "no_lane", False]] * 2
    assert served == [[200, None, None]]


def test_a_batch_that_is_interrupted_leaves_its_lanes_behind(tmp_path: Any):
    """Ctrl-C reaches the thread that waits; the others are ended."""
    assert run_script(INTERRUPTED, tmp_path) == ["interrupted", "200"]


def test_a_forked_process_has_nobody_elses_threads(tmp_path: Any):
    assert run_script(FORKED, tmp_path) == ["0"]
