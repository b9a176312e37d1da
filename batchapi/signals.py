"""What happens in a batch, told to whoever wants to know. Receivers that raise harm nobody (they are logged).

    subrequest_finished.connect(receiver)    # sender=None, and the keywords below

Each is sent on the thread that did the work. `correlation_id` is the batch's; a sub-request has its own.
"""

from django.dispatch import Signal

batch_started = Signal()  # correlation_id: str, total: int
batch_finished = Signal()  # correlation_id: str, total: int, seconds: float
subrequest_started = Signal()  # request: SubRequest
subrequest_finished = Signal()  # response: SubResponse, seconds: float, done: int, total: int
