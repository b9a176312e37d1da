"""One real batch sent to the chat API on SQLite and Valkey, and its answer printed; `dev.py demo` calls it in .venv."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from tests.servers import NoServer, redis_server

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
START_SECONDS = 30.0
USER = "alice"
EXPECTED = {"me": 200, "new": 201, "first": 201, "stats": 200, "nope": 404}

cookies = CookieJar()
# An empty ProxyHandler: a proxy has no business between us and our own server.
browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(cookies))


def run_demo(*, once: bool, with_redis: bool, port: int | None) -> None:
    """Set up what the chat API needs, answer one batch, and go on serving unless it was only for once."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))  # So that the servers below are stopped.
    port = choose_port(port)
    FOLDER.mkdir(exist_ok=True)
    password = remembered_password()
    environment = server_environment(password)
    with ExitStack() as servers:
        if with_redis and (redis_url := started_redis(servers)):
            environment["REDIS_URL"] = redis_url
        say("migrating and seeding …")
        manage("migrate", environment=environment)
        manage("seed_demo", environment=environment)
        server = servers.enter_context(chat_server(port, environment))
        home = f"http://127.0.0.1:{port}/"
        print(f"batchapi demo   {home}   admin: {home}admin/   login: {USER} / {password}")
        show_batch(home, password)
        if not once:
            say("serving until Ctrl-C …")
            server.wait()
            sys.exit(f"The server has ended:\n{last_lines()}")


# -- what it needs


def choose_port(wanted: int | None) -> int:
    """The port that was asked for, else the first free one from 8000 on."""
    for port in [wanted] if wanted is not None else range(8000, 8100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # The last demo's port is free at once.
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as error:
                reason = str(error)
                continue
            return int(probe.getsockname()[1])
    sys.exit(f"The demo cannot serve on port {wanted or '8000 to 8099'}: {reason}. Another one is given with --port.")


def remembered_password() -> str:
    """One for each clone, made by chance, so that no demo anywhere is open to a password from a README."""
    file = FOLDER / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9))
    return file.read_text()


def server_environment(password: str) -> dict[str, str]:
    """This shell's own, except for what would lead the demo to a database or a Redis that is not its own."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DJANGO_ENV": "development",
        "DATABASE_URL": f"sqlite:///{FOLDER / 'db.sqlite3'}",
        "REDIS_URL": "",
        "DEMO_PASSWORD": password,
    }


def started_redis(servers: ExitStack) -> str | None:
    try:
        return servers.enter_context(redis_server())
    except NoServer as reason:
        say(f"running without Redis: {reason}.")
        return None


def manage(command: str, *, environment: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "manage.py", command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if run.returncode:
        sys.exit(f"manage.py {command} failed (a .demo of another version can be deleted):\n{run.stdout}{run.stderr}")


@contextmanager
def chat_server(port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The chat API, ready to answer."""
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (FOLDER / "server.log").open("w") as log:
        # A session of its own, so that Ctrl-C reaches us alone and Redis is not gone before the server is.
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_ready(server, f"http://127.0.0.1:{port}/readyz")
        yield server
    finally:
        server.terminate()
        server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with browser.open(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    sys.exit(f"The server did not get ready:\n{last_lines()}")


def last_lines() -> str:
    return "\n".join((FOLDER / "server.log").read_text().splitlines()[-15:])


# -- the batch


def show_batch(home: str, password: str) -> None:
    """Send it, print it, and exit if it was not answered as it should be."""
    csrf_token = log_in(home, password)
    batch = sample_batch(session=f"trip-{secrets.token_hex(4)}")
    print(f"POST /api/batch/ with {len(batch['requests'])} sub-requests")
    started = time.perf_counter()
    status, answer = post(f"{home}api/batch/", batch, **{"X-CSRFToken": csrf_token})
    milliseconds = (time.perf_counter() - started) * 1000
    statuses = {response["id"]: response["status"] for response in answer.get("responses", [])}
    summary = " · ".join(f"{name} {code}" for name, code in statuses.items()) or status
    print(f"  {summary}      {milliseconds:.0f} ms, 1 round trip instead of {len(batch['requests'])}")
    print(json.dumps(answer, indent=2, ensure_ascii=False), flush=True)
    if statuses != EXPECTED:
        sys.exit(f"This is not what the demo expects: {EXPECTED}\n{last_lines()}")


def log_in(home: str, password: str) -> str:
    """Open a session, which goes into the cookies, and return the CSRF token that its writes need."""
    status, answer = post(f"{home}api/auth/login/", {"username": USER, "password": password})
    if status != 200:
        sys.exit(f"{USER} could not log in: {status} {answer}")
    return next(cookie.value or "" for cookie in cookies if cookie.name == "csrftoken")


def sample_batch(session: str) -> dict[str, list[dict[str, Any]]]:
    """Who am I, a new session, its first message once it is there, some figures that can wait, and a mistake."""
    messages = f"/api/sessions/{session}/messages/"
    return {
        "requests": [
            {"id": "me", "method": "GET", "url": "/api/users/me/"},
            {"id": "new", "method": "POST", "url": "/api/sessions/", "body": {"id": session, "title": "A trip"}},
            {"id": "first", "method": "POST", "url": messages, "body": {"content": "Where to?"}, "dependsOn": ["new"]},
            {"id": "stats", "method": "GET", "url": "/api/stats/", "priority": "background"},
            {"id": "nope", "method": "GET", "url": "/api/nope/"},
        ]
    }


def post(url: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and decoded JSON; an answer that is no JSON comes out as its text."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    try:
        response = browser.open(request, timeout=60)
    except HTTPError as error:  # 4xx and 5xx have a body that is worth showing.
        response = error
    with response:
        text = response.read().decode()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, {"text": text}


def say(news: str) -> None:
    """On stderr, so that stdout is the answer and nothing else."""
    print(f"demo: {news}", file=sys.stderr, flush=True)
