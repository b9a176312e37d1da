"""The Django app: watches SQL, and has `manage.py check` look at the settings."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from batchapi.signals import subrequest_finished


class BatchApiConfig(AppConfig):
    name = "batchapi"
    verbose_name = "Batch API"

    def ready(self) -> None:
        """Connect what must be there before the first request."""
        from batchapi import checks, invalidation, log, statements, uncommitted
        from batchapi.execute.connections import announce

        checks.register_all()
        subrequest_finished.connect(log.write_access_log)
        connection_created.connect(statements.observe_connection)
        connection_created.connect(announce)
        uncommitted.receivers.append(invalidation.outdate)
        statements.observe_all_connections()
