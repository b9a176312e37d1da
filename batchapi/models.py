"""What is kept of sub-requests that came with an Idempotency-Key: who has claimed the key, and what was answered."""

from django.db import models


class State(models.TextChoices):
    """What is known of a key, or of one sub-request under it."""

    CLAIMED = "claimed", "a batch has the key"
    RUNNING = "running", "a view that runs in no transaction was called, and has not come back"
    DONE = "done", "it was answered, and the answer is here"
    COMMITTED = "committed", "it was answered, and the answer is one that is never stored"


class IdempotencyRecord(models.Model):
    """One row for each key of a caller (part ""), and one for each sub-request under it that was answered.

    The first has the fingerprint of what was sent, and says who holds the key until when; the others have the answers.
    Nothing of a request's body is here but an HMAC, in `fingerprint`.
    """

    identity = models.CharField(
        primary_key=True, max_length=64
    )  # SHA-256 of caller, key and part; all databases index it
    caller = models.CharField(max_length=255)  # "user auth.user 7"
    key = models.CharField(max_length=255)  # as the client sent it
    part = models.CharField(
        max_length=260
    )  # "" is the key itself, "id:…" a sub-request, "own" the one that has the key
    state = models.CharField(max_length=9, choices=State.choices)
    fingerprint = models.CharField(max_length=64, blank=True)  # of the key: HMAC of all that makes the request
    token = models.CharField(max_length=32)  # the batch that holds the key, or called the view
    lease = models.DateTimeField(null=True)  # of the key: when its holder can no longer be at work
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.TextField(blank=True)  # JSON: [["Content-Type", "application/json"], …]
    body = models.BinaryField(default=b"")
    is_json = models.BooleanField(default=False)  # the body is one JSON value on one line, made by DRF's renderer
    url = models.TextField(blank=True)  # that was asked for in the end, with its references filled in
    created = models.DateTimeField()
    expires = models.DateTimeField(db_index=True)  # from then on it is as if the row were not there

    def __str__(self) -> str:
        return f"{self.key} of {self.caller}{f', {self.part}' if self.part else ''}: {self.state}"
