"""What happens in a batch, told to whoever wants to know. Receivers that raise harm nobody (they are logged).

    subrequest_finished.connect(receiver)    # sender=None, and the keywords below

Receivers of `subrequest_started` run on the lane (thread) that does the work, and so do those of `subrequest_finished`
as a rule; several at once, so they must be thread-safe. `correlation_id` is the batch's; a sub-request has its own.
"""

from django.dispatch import Signal

batch_started = Signal()  # correlation_id: str, total: int
batch_finished = Signal()  # correlation_id: str, total: int, seconds: float
subrequest_started = Signal()  # request: SubRequest
subrequest_retried = Signal()  # request: SubRequest, status: int, attempts: int, pause: float, in seconds
subrequest_finished = Signal()  # response: SubResponse, seconds: float, done: int, total: int
lane_opened = Signal()  # connection: BaseDatabaseWrapper, just connected for views that run beside the caller's thread
