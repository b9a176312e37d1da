"""A fresh clone in, a running demo or a tested tree out: `python3 dev.py --help`.

Needs only Python 3.11 and its pip. What it makes stays in `.venv` and `.demo`, both ignored by git.
"""

import sys

if sys.version_info < (3, 11):  # Before any other line: an old Python should get as far as this one.
    sys.exit(f"dev.py needs Python 3.11 or newer, this is {'.'.join(map(str, sys.version_info[:3]))}.")

import argparse
import hashlib
import os
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "dev-stamp"
LOG = VENV / "install.log"

HELP = """\
demo   shows batchapi at work: one real batch against a small chat API, then a server to play with
test   is what a change has to pass: lint, types, import contracts, migrations, tests, coverage

The first call makes .venv and installs what is pinned in requirements.txt; later calls start at once.
"""
DEMO_HELP = """\
Migrates an SQLite database in .demo, seeds it with chats of the user alice, starts Valkey or Redis if
there is one (redis-server or valkey-server on PATH, else the one that .venv brings), serves the chat API,
sends it one batch and prints the answer. Then it goes on serving until Ctrl-C. Try:

  python3 dev.py demo --once        one batch, exit code 0 if it was answered as it should be
  python3 dev.py demo --no-redis    with the cache in the server's own memory
"""
TEST_HELP = """\
Without arguments: ruff, mypy, import-linter, missing migrations, then all tests in random order on all
cores, with the coverage gate. Every step runs, the last line names those that failed. Otherwise the
arguments go to pytest, and nothing else runs. Try:

  python3 dev.py test
  python3 dev.py test tests/test_dev.py -k port -x
  HYPOTHESIS_PROFILE=deep python3 dev.py test tests/plan
"""


def main() -> None:
    """Make the environment, then go on inside it."""
    args, rest = command_line().parse_known_args()
    if args.command == "demo" and rest:
        sys.exit(f"dev.py demo does not know {rest[0]}; python3 dev.py demo --help says what it knows.")
    make_environment()
    if not is_inside():
        os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])
    os.chdir(ROOT)
    if args.command == "demo":
        from project.demo import run_demo  # Not at the top: it may use what only .venv has.

        run_demo(once=args.once, with_redis=not args.no_redis, port=args.port)
    elif rest:
        os.execv(PYTHON, [str(PYTHON), "-m", "pytest", *rest])
    else:
        run_checks()


def command_line() -> argparse.ArgumentParser:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="dev.py", description=HELP, formatter_class=as_written)
    commands = parser.add_subparsers(dest="command", metavar="demo | test", required=True)
    # No abbreviations: they would take away what was meant for pytest.
    add = partial(commands.add_parser, formatter_class=as_written, allow_abbrev=False)
    demo = add("demo", description=DEMO_HELP)
    demo.add_argument("--once", action="store_true", help="answer one batch and end")
    demo.add_argument("--no-redis", action="store_true", help="run without Valkey or Redis")
    demo.add_argument("--port", type=int, help="serve here and nowhere else (default: 8000, or the next that is free)")
    add("test", description=TEST_HELP, usage="dev.py test [-h] [PYTEST ARGUMENTS]")
    return parser


# -- the environment


def make_environment() -> None:
    """Leave a .venv that has everything in requirements.txt; does nothing if that is so already."""
    wanted = fingerprint()
    usable = is_usable()
    if usable and STAMP.exists() and STAMP.read_text() == wanted:
        return
    if not usable:
        create()
    STAMP.unlink(missing_ok=True)  # From here on it is half made; an interrupted run has to be seen.
    say("installing what requirements.txt pins …")
    install()
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """Whatever makes an environment outdated: other pins, another Python, a clone that was moved."""
    pins = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "requirements.txt")]
    return hashlib.sha256(b"\0".join([str(ROOT).encode(), sys.version.encode(), *pins])).hexdigest()


def is_usable() -> bool:
    """Does .venv run, on this very Python, and does it hold more than nothing?"""
    probe = "import sys, django; print(sys.version)"
    try:
        found = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True)
    except OSError:  # No .venv, or a link to a Python that is gone.
        return False
    return found.returncode == 0 and found.stdout.strip() == sys.version.strip()


def is_inside() -> bool:
    return Path(sys.prefix) == VENV


def create() -> None:
    """An empty .venv in place of whatever is there."""
    if is_inside():
        sys.exit("dev.py cannot make .venv anew while it runs in it: deactivate it and call again.")
    say("making .venv …")
    shutil.rmtree(VENV, ignore_errors=True)
    # Without pip, because Debian keeps ensurepip in a package of its own.
    made = subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], capture_output=True, text=True)
    if made.returncode:
        sys.exit(f"dev.py could not make .venv: {(made.stderr or made.stdout).strip()}")


def install() -> None:
    """By uv, because it takes seconds; by pip where uv can't be had or can't reach the index that pip can."""
    # pip works on .venv from outside, so neither .venv nor an externally managed Python is in its way.
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet"]
    uv = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON)]
    project = ["-c", f"{ROOT}/requirements.txt", "-e", f"{ROOT}[dev]"]
    with LOG.open("w") as log:
        has_uv = (VENV / "bin" / "uv").exists() or succeeds([*pip, "uv"], log)
        if has_uv and succeeds([*uv, *project], log):
            return
        say("that did not work with uv, trying pip …")
        if succeeds([*pip, *project], log):
            return
    sys.exit(
        "dev.py could not install the packages: is there a network, and does this Python have pip? "
        f"What they said stands in {LOG.relative_to(ROOT)}."
    )


def succeeds(command: list[str], log: IO[str]) -> bool:
    environment = {"PIP_RETRIES": "2", **os.environ}  # Its own five keep somebody without a network waiting.
    return subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode == 0


def say(news: str) -> None:
    """On stderr, so that a demo's stdout is its answer and nothing else."""
    print(f"dev.py: {news}", file=sys.stderr, flush=True)


# -- the tests


def run_checks() -> None:
    """Run every step, also after one that failed, and exit with the sum of them."""
    steps = {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "."],
        "types": ["mypy", "batchapi"],
        "contracts": ["lint-imports"],
        "migrations": ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
        "tests": ["pytest", "-n", "auto", "--maxprocesses", "8", "--dist", "worksteal", "--cov"],
    }
    failed = [name for name, command in steps.items() if not passes(name, command)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def passes(name: str, command: list[str]) -> bool:
    """Run one step and say so on one line; what it printed is worth reading only when it failed."""
    is_long = name == "tests"  # Long enough that one wants to watch it.
    print(f"{name:<11}", end="\n" if is_long else "", flush=True)
    started = time.monotonic()
    code, output = run([str(VENV / "bin" / command[0]), *command[1:]], silently=not is_long)
    verdict = "FAILED" if code else "ok"
    print(f"{name if is_long else '':<{11 * is_long}}{verdict:<7}{time.monotonic() - started:6.1f} s", flush=True)
    if code:
        print(output or "", flush=True)
    return code == 0


def run(command: list[str], *, silently: bool) -> tuple[int, str | None]:
    """The exit code, and the output if it was not shown."""
    stdout, stderr = (subprocess.PIPE, subprocess.STDOUT) if silently else (None, None)
    process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr, text=True)
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:
        process.wait()  # It got the same Ctrl-C and is putting its servers away; run() would kill it.
        raise
    return process.returncode, output


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("stopped.")
        sys.exit(130)
