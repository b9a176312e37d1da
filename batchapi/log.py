"""Correlation: which sub-request this code runs for, put on log records and into one access-log line each."""

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
        record.correlation_id = request.correlation_id if request else "-"
        return True


def write_access_log(*, response: SubResponse, seconds: float, **_kwargs: object) -> None:
    """One line per sub-request at INFO: correlation id, method, route, status, milliseconds."""
    request = response.request
    if access_log.isEnabledFor(logging.INFO):
        access_log.info(
            "%s %s %s %d %.1fms",
            request.correlation_id,
            request.method,
            request.route_name or "-",
            response.status,
            seconds * 1000,
        )
