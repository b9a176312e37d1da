"""Correlation: which sub-request this code runs for, put on log records and into one access-log line each.

What our records tell they carry as attributes too (`route`, `status`, …): a JSON formatter needs to parse no text.
"""

import logging

from batchapi.batch import SubResponse, running

access_log = logging.getLogger("batchapi.access")


class CorrelationFilter(logging.Filter):
    """Puts `correlation_id` on every record: "<batch>/<id>" inside a sub-request, "-" elsewhere.

    LOGGING = {"filters": {"batch": {"()": "batchapi.log.CorrelationFilter"}}, …}
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, marked."""
        request = running.get()
        if not hasattr(record, "correlation_id"):  # Whoever wrote it may know better: the answer of another thread.
            record.correlation_id = request.correlation_id if request else "-"
        return True


def write_access_log(*, response: SubResponse, seconds: float, **_kwargs: object) -> None:
    """One line per sub-request at INFO: correlation id, method, route, status, milliseconds; and as attributes."""
    request = response.request
    if access_log.isEnabledFor(logging.INFO):
        told = {
            "correlation_id": request.correlation_id,
            "method": request.method,
            "route": request.route_name or "-",
            "status": response.status,
            "milliseconds": seconds * 1000,
        }
        access_log.info("%s %s %s %d %.1fms", *told.values(), extra=told)
