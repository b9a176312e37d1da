"""Tells the store which tables were written: after each commit, and where the project says so itself."""

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Model

from batchapi import uncommitted
from batchapi.conf import get_settings
from batchapi.store import EVERYTHING, Store, get_store
from batchapi.store.tags import table_tag
from batchapi.tags import known_tables, words_of


def current_store() -> Store | None:
    """Where answers are kept; None if they are not. Raises ImproperlyConfigured as `get_settings` does."""
    caching = get_settings().caching
    return get_store(caching.CACHE_ALIAS, caching.CACHE_SIZE) if caching.ENABLE_CACHING else None


def outdate(tables: frozenset[str]) -> None:
    """Have no answer be fresh any more that was read from one of these tables."""
    try:
        store = current_store()
    except ImproperlyConfigured:  # `manage.py check` tells of it; a project's own writes go on.
        return
    if store:
        store.move([EVERYTHING] if tables >= known_tables() else [table_tag(table) for table in sorted(tables)])


def invalidate(*models_or_tables: type[Model] | str) -> None:
    """Forget the answers that were read from these models or tables, after a write that no SQL statement of this
    process shows: COPY, `executescript`, a trigger, another program.

    Takes model classes, labels such as "shop.Order", and names of tables. Inside a transaction it holds once more when
    that is committed. Raises ValueError for what is none of these.

        cursor.copy("COPY shop_order FROM STDIN")
        invalidate(Order)
    """
    tables = frozenset().union(*map(tables_of, models_or_tables))
    for connection in connections.all(initialized_only=True):
        if uncommitted.is_ahead_of_commit(connection):
            uncommitted.note(connection, tables)
    outdate(tables)


def tables_of(given: type[Model] | str) -> frozenset[str]:
    """The tables that a model, a label or a name stands for."""
    if isinstance(given, str) and given.lower() in known_tables():
        return frozenset({given.lower()})
    try:
        meta = (apps.get_model(given) if isinstance(given, str) else given)._meta
        models = () if meta.abstract else (meta.model, *meta.get_parent_list())
    except (AttributeError, LookupError, ValueError):
        models = ()
    if not models:
        raise ValueError(
            f"{given!r} is no model and no table of this project; name a model class, 'app.Model' or a db_table."
        )
    return frozenset[str]().union(*map(words_of, models))
