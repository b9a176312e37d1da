"""dev.py as a newcomer meets it: on an old Python, without a network, with a .venv that broke half-way."""

import ast
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from project.demo import choose_port

ROOT = Path(__file__).resolve().parent.parent
OLD_VERSIONS = ("3.6", "3.7", "3.8", "3.9", "3.10")
HOST_PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"  # The one outside of any .venv.


def call(
    *command: str | Path, folder: Path = ROOT, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def old_python() -> list[str]:
    """A real one if PATH has any, else this one that says it is old."""
    for version in OLD_VERSIONS:
        name = f"python{version}"
        if shutil.which(name) and call(name, "--version").stdout.startswith(f"Python {version}."):
            return [name, "dev.py"]
    pretend = "import sys; sys.version_info = (3, 6, 15); exec(compile(open('dev.py').read(), 'dev.py', 'exec'))"
    return [sys.executable, "-c", pretend]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What dev.py needs of a clone, and no .venv."""
    for name in ("dev.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def offline() -> dict[str, str]:
    """An environment in which no package index answers."""
    nowhere = "http://127.0.0.1:9/simple"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    no_patience = {"PIP_RETRIES": "0", "UV_HTTP_RETRIES": "0"}
    return kept | no_patience | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": nowhere, "UV_DEFAULT_INDEX": nowhere}


def lend_packages(venv: Path) -> None:
    """Make a .venv that sees what these tests were installed with."""
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    lender = next(path for path in sys.path if path.endswith("site-packages"))
    (venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "lent.pth").write_text(lender)


def stamp(clone: Path) -> None:
    """Say that .venv is what this clone asks for."""
    known = call(HOST_PYTHON, "-c", "import dev; print(dev.fingerprint(), end='')", folder=clone)
    (clone / ".venv" / "dev-stamp").write_text(known.stdout)


def test_an_old_python_is_told_so_in_one_sentence():
    """No traceback, no half-made .venv: which version is needed, and which one this is."""
    told = call(*old_python())
    assert told.returncode == 1
    assert told.stderr.startswith("dev.py needs Python 3.11 or newer, this is 3.")
    assert told.stderr.count("\n") == 1


def test_an_old_python_can_read_dev_py():
    """One line of newer syntax would turn that sentence into a SyntaxError."""
    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 7))


def test_help_names_both_commands():
    """The first thing that a newcomer types answers what there is."""
    told = call(sys.executable, "dev.py", "--help")
    assert told.returncode == 0
    assert "demo   shows" in told.stdout
    assert "test   is what" in told.stdout


@pytest.mark.parametrize(
    ("command", "lessons"),
    [("demo", ["--once", "--no-redis", "--port", "Ctrl-C"]), ("test", ["pytest", "-k", "HYPOTHESIS_PROFILE"])],
)
def test_help_of_a_command_shows_what_to_try(command: str, lessons: list[str]):
    """Each command's help has examples to copy."""
    told = call(sys.executable, "dev.py", command, "--help")
    assert told.returncode == 0
    assert [lesson for lesson in lessons if lesson not in told.stdout] == []


def test_an_unknown_argument_of_demo_is_named():
    """A typo is not handed on to something that ignores it."""
    told = call(sys.executable, "dev.py", "demo", "--onec")
    assert told.returncode == 1
    assert "--onec" in told.stderr


def test_without_a_network_one_sentence_says_so(clone: Path, offline: dict[str, str]):
    """Neither pip's nor uv's pages of output; they are kept in a file that the sentence names."""
    told = call(HOST_PYTHON, "dev.py", "test", "--version", folder=clone, environment=offline)
    assert told.returncode == 1
    assert "is there a network" in told.stderr.splitlines()[-1]
    assert "Traceback" not in told.stderr
    assert (clone / ".venv" / "install.log").read_text()
    assert not (clone / ".venv" / "dev-stamp").exists()


def test_a_broken_venv_is_made_again(clone: Path, offline: dict[str, str]):
    """Its Python is a link to one that an upgrade removed."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python3.11")
    told = call(HOST_PYTHON, "dev.py", "test", "--version", folder=clone, environment=offline)
    assert "making .venv" in told.stderr
    assert call(python, "--version").returncode == 0


def test_a_venv_that_fits_is_used_at_once(clone: Path, offline: dict[str, str]):
    """The second call installs nothing, so it needs no network."""
    lend_packages(clone / ".venv")
    stamp(clone)
    told = call(HOST_PYTHON, "dev.py", "test", "--version", folder=clone, environment=offline)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("pytest ")


def test_new_pins_are_installed_into_the_venv_that_is_there(clone: Path, offline: dict[str, str]):
    """After a pull that changed requirements.txt, what is pinned is installed, and only that."""
    lend_packages(clone / ".venv")
    stamp(clone)
    (clone / "requirements.txt").write_text("# another pin\n")
    told = call(HOST_PYTHON, "dev.py", "test", "--version", folder=clone, environment=offline)
    assert told.returncode == 1
    assert "installing" in told.stderr
    assert "making" not in told.stderr


def test_a_busy_port_that_was_asked_for_is_refused_in_one_sentence():
    """Somebody who names a port wants that one, not its neighbour."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = f"from project.demo import run_demo; run_demo(once=True, with_redis=False, port={port})"
        told = call(sys.executable, "-c", code)
    assert told.returncode == 1
    assert told.stderr.startswith(f"The demo cannot serve on port {port}: ")
    assert told.stderr.count("\n") == 1


def test_a_busy_default_port_gives_way_to_the_next():
    """Whoever named no port gets one that works."""
    first = choose_port(None)
    with socket.create_server(("127.0.0.1", first)):
        assert choose_port(None) > first
