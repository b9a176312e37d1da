"""Which models' tables a relation may stand for."""

from typing import Any

from django.contrib.auth.models import User
from django.db import models
from django.test.utils import isolate_apps

from batchapi.reading.tables import managed_tables, tables_of
from batchapi.reading.tokens import cut
from batchapi.reading.walk import Walk

NOWHERE = frozenset[str]()


def new_model(name: str, base: type[models.Model] = models.Model, /, *, meta: dict[str, Any], **fields: Any) -> Any:
    inner = type("Meta", (), {"app_label": "chat", **meta})
    return type(name, (base,), {"__module__": __name__, "Meta": inner, **fields})


def test_the_tables_of_all_apps_are_known_with_their_columns() -> None:
    tables = managed_tables(NOWHERE)
    assert {"auth_user", "auth_user_groups", "chat_session", "django_session"} <= tables.keys()
    assert tables["auth_user_groups"].columns == {"id", "user_id", "group_id"}
    assert tables["auth_user"].columns == {field.column for field in User._meta.concrete_fields}


@isolate_apps("chat")
def test_what_no_migration_makes_is_not_known() -> None:
    """A model that is not managed often stands for a view; its proxy says of itself that it is managed."""
    view, table = new_model("View", meta={"managed": False}), new_model("Table", meta={})
    proxies = [new_model(f"Proxy{base.__name__}", base, meta={"proxy": True}) for base in (view, table)]
    assert proxies[0]._meta.managed
    assert tables_of([view, *proxies, table], NOWHERE).keys() == {"chat_table"}


@isolate_apps("chat")
def test_a_child_has_the_columns_of_its_own_table() -> None:
    parent = new_model("Parent", meta={}, title=models.CharField(max_length=9))
    child = new_model("Child", parent, meta={}, text=models.TextField(db_column="Body"))
    assert tables_of([parent, child], NOWHERE)["chat_child"].columns == {"parent_ptr_id", "body"}


@isolate_apps("chat")
def test_a_schema_may_be_a_part_of_the_name() -> None:
    tables = tables_of([new_model("Far", meta={"db_table": 'far"."away'})], NOWHERE)
    names = Walk(cut('SELECT "far"."away"."id" FROM "far"."away"'), tables, NOWHERE).walk()
    assert [table.words for table in names.tables] == [{"far", "away"}]
