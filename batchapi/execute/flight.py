"""What several processes ask for at the same time is computed by one: a key in; out, its token, None for the others."""

from collections.abc import Callable
from time import monotonic, sleep

from batchapi.execute.attempt import Attempt, AttemptOver
from batchapi.store import Store

POLLS = (0.01, 0.02, 0.05)  # Seconds between looks at what another process is computing; the last one repeats.
LATE = 0.001  # Seconds after which it is worth another look whether an answer is there by now.
LONGEST_CLAIM = 60.0  # seconds


def take_claim(
    store: Store, key: str, trying: Attempt, *, seconds: float, since: float, is_known: Callable[[], bool]
) -> str | None:
    """A token for whoever is to compute an answer; or None, once another one has, or there is nothing to wait for.

    `is_known` looks again whether the answer is there; `since` is when somebody last looked, by time.monotonic().
    Raises AttemptOver if another one takes longer than `seconds`. A claim is only held while its view runs, so two
    batches never wait for each other.
    """
    polls, pause, begun = iter(POLLS), 0.0, monotonic()
    while (token := store.claim(key, seconds=min(trying.remaining(), seconds, LONGEST_CLAIM) + 1.0)) is None:
        pause = next(polls, pause)
        if trying.remaining() <= pause:
            raise AttemptOver
        if monotonic() - begun + pause >= seconds:
            trying.limit = f"the {seconds:g} seconds it had"
            raise AttemptOver
        sleep(pause)
        trying.stop_if_overtaken()
        if is_known():
            return None
    is_done = monotonic() - since > LATE and is_known()  # Somebody may have computed it since we first looked.
    if is_done or pause:  # Whoever we waited for has left nothing: others would wait in vain as well, one by one.
        store.release(key, token)
        return None
    return token
