"""`python -m tests.idempotency.forks`: commands in, one JSON line each; each is carried out by a process of its own.

A server that has forked, as it were: what dies is a real process with a real connection, and the next one knows nothing
of it. This process itself never opens a connection.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import django

TOKEN = "the-token-of-alice"
Command = dict[str, Any]


class Child(NamedTuple):
    pid: int
    pipe: int  # what it answers, once it has ended


children: dict[int, Child] = {}


def prepare(_command: Command) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    Token.objects.create(user=User.objects.create(username="alice"), key=TOKEN)


def reset(_command: Command) -> None:
    from batchapi.models import IdempotencyRecord
    from chat.models import Session

    Session.objects.all().delete()
    IdempotencyRecord.objects.all().delete()


def look(_command: Command) -> dict[str, int]:
    from tests.idempotency.views import kept

    return kept()


def is_held(_command: Command) -> bool:
    """Whether the time of some holder is not over."""
    from django.utils import timezone

    from batchapi.models import IdempotencyRecord

    return IdempotencyRecord.objects.filter(lease__gt=timezone.now()).exists()


def age(_command: Command) -> None:
    from tests.idempotency.asking import let_time_pass

    let_time_pass()


def send(command: Command) -> dict[str, Any]:
    from django.conf import settings
    from django.test import Client, override_settings

    from tests.idempotency import cuts

    if command.get("cut"):
        cuts.expect(**command["cut"])
    if gate := command.get("gate"):
        os.read(gate, 1)
    more = override_settings(BATCHAPI={**settings.BATCHAPI, **command.get("settings", {})})
    more.enable()
    client = Client(raise_request_exception=False, headers={"Authorization": f"Token {TOKEN}"})
    key = command.get("key", "k")
    response = client.post(
        "/api/batch/",
        {"requests": command["items"], **command.get("members", {})},
        content_type="application/json",
        headers={"Idempotency-Key": key} if key else {},
    )
    cuts.happen("answered")
    return {"status": response.status_code, "answer": json.loads(response.content), "events": cuts.events}


CALLS: dict[str, Callable[[Command], Any]] = {
    "prepare": prepare,
    "reset": reset,
    "look": look,
    "age": age,
    "is_held": is_held,
    "send": send,
}


def start(command: Command) -> Child:
    """Carry a command out in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        children[pid] = Child(pid, reading)
        return children[pid]
    code = 1
    try:
        os.close(reading)
        answer = json.dumps(CALLS[command["do"]](command)).encode()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def wait(child: Child) -> dict[str, Any]:
    """How it ended, or that it has stopped; and what it had to say."""
    chunks: list[bytes] = []
    pid = status = 0
    os.set_blocking(child.pipe, False)
    while not pid:  # It may fill the pipe before it ends.
        with suppress(BlockingIOError):
            chunks.append(os.read(child.pipe, 1 << 16))
        pid, status = os.waitpid(child.pid, os.WUNTRACED | os.WNOHANG)
        if not pid:
            signal.sigtimedwait([signal.SIGCHLD], 0.01)
    if os.WIFSTOPPED(status):
        return {"pid": child.pid, "ended": "stopped"}
    os.set_blocking(child.pipe, True)
    while chunk := os.read(child.pipe, 1 << 16):
        chunks.append(chunk)
    os.close(children.pop(child.pid).pipe)
    if os.WIFSIGNALED(status):
        return {"pid": child.pid, "ended": "killed"}
    assert os.WEXITSTATUS(status) == 0, "a command failed; what it said is on stderr"
    return {"pid": child.pid, "ended": "exit", "said": json.loads(b"".join(chunks))}


def race(command: Command) -> list[dict[str, Any]]:
    """The same batch from several processes at the same moment."""
    reading, writing = os.pipe()
    runners = [start({**command, "do": "send", "gate": reading}) for _ in range(command["count"])]
    os.write(writing, b"." * len(runners))
    outcomes = [wait(child) for child in runners]
    os.close(reading)
    os.close(writing)
    return outcomes


def resume(command: Command) -> dict[str, Any]:
    """Let one go on that has stopped."""
    os.kill(command["pid"], signal.SIGCONT)
    return wait(children[command["pid"]])


def serve() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "race":
            answer: Any = race(command)
        else:
            answer = resume(command) if command["do"] == "resume" else wait(start(command))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    from django.test import override_settings

    django.setup()
    with override_settings(ROOT_URLCONF="tests.idempotency.views"):
        import tests.idempotency.views

        assert tests.idempotency.views.urlpatterns
        try:
            serve()
        finally:  # Some may have stopped, and nobody else will wake them.
            for child in children.values():
                os.kill(child.pid, signal.SIGKILL)
