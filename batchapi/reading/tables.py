"""The tables that a relation's name may stand for: those of managed models, which are written by name."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from django.apps import apps
from django.db import connections
from django.db.models import Model
from django.db.utils import load_backend

from batchapi.tags import WORD

DEFAULT_SCHEMAS = {"postgresql": "public", "sqlite": "main"}
Vendors = frozenset[str]


class Table(NamedTuple):
    words: frozenset[str]  # as `tags` names it
    columns: frozenset[str]  # lower-case


@cache
def vendors() -> Vendors:
    """The kinds of database that the project is set up with."""
    return frozenset(load_backend(one["ENGINE"]).DatabaseWrapper.vendor for one in connections.settings.values())


@cache
def managed_tables(vendors: Vendors) -> Mapping[str, Table]:
    """The tables of the project's models, those that join many-to-many relations among them."""
    return tables_of(apps.get_models(include_auto_created=True), vendors)


def tables_of(models: Iterable[type[Model]], vendors: Vendors) -> dict[str, Table]:
    """The tables of managed models, by the name that stands between quotes: `name` or `schema"."name`.

    A proxy is left out: it is managed even if the model that it stands for is a database view.
    """
    tables: dict[str, Table] = {}
    for meta in [model._meta for model in models if model._meta.managed and not model._meta.proxy]:
        name = meta.db_table.strip('"')
        columns = {field.column.lower() for field in meta.local_concrete_fields if field.column}
        known = tables.get(name, Table(frozenset(map(str.lower, WORD.findall(name))), frozenset()))
        tables[name] = Table(known.words, known.columns | columns)
    for vendor, schema in DEFAULT_SCHEMAS.items():
        if vendor in vendors:
            tables |= {f'{schema}"."{name}': table for name, table in tables.items() if '"' not in name}
    if "oracle" in vendors:
        tables |= {name.upper(): table for name, table in tables.items()}
    if vendors & {"oracle", "mysql"}:
        tables |= dict.fromkeys(["DUAL", "dual"], Table(frozenset(), frozenset()))
    return tables
