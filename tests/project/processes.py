"""A command and some of our environment variables in, a process of the project that has ended out."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# Everything that production asks for.
COMPLETE = {
    "DJANGO_ENV": "production",
    "SECRET_KEY": "k3yw1thm0reth4nf1ftych4r4ct3rs-4nd-m4ny-d1ff3r3nt-0nes",
    "ALLOWED_HOSTS": "chat.example.com, api.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://chat.example.com",
}
OURS = {*COMPLETE, "DATABASE_URL", "DATABASE_POOL_SIZE", "REDIS_URL", "TRUSTED_PROXIES", "LOG_LEVEL"}


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these of our variables and no others."""
    clean = {name: value for name, value in os.environ.items() if name not in OURS}
    settings = {"DJANGO_SETTINGS_MODULE": "project.settings", **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env={**clean, **settings}, capture_output=True, text=True)


def read_settings(*names: str, **environment: str) -> dict[str, object]:
    code = f"import json, project.settings as s; print(json.dumps({{n: getattr(s, n) for n in {names!r}}}))"
    run = python("-c", code, **environment)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    return run.stderr.strip().splitlines()[-1]
