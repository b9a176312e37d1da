"""Query parameters in, a page of rows out, in an order that no two pages disagree about."""

from typing import Any

from django.db.models import Model, QuerySet
from rest_framework import filters, serializers
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from chat.models import Message
from chat.serializers import RoleField


class ChatPagination(PageNumberPagination):
    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100


class NewestFirstOrdering(filters.OrderingFilter):
    """`?ordering=`, where rows that tie come newest first instead of as the database likes."""

    def get_ordering(self, request: Request, queryset: QuerySet[Model], view: APIView) -> list[str]:
        return [*super().get_ordering(request, queryset, view), "-pk"]


class TitleSearch(filters.SearchFilter):
    """`?search=`, no longer than a title is: SQLite gives up on a very long pattern and on very many words."""

    def get_search_terms(self, request: Request) -> list[str]:
        title = serializers.CharField(max_length=200, allow_blank=True, trim_whitespace=False)
        check_parameter(request, self.search_param, title)
        return super().get_search_terms(request)


class RoleFilter(filters.BaseFilterBackend):
    """`?role=`, where a role that does not exist is 400 rather than an empty page."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Message], view: APIView) -> QuerySet[Message]:
        role = check_parameter(request, "role", RoleField(allow_blank=True))
        return queryset.filter(role=role) if role else queryset


def check_parameter(request: Request, name: str, field: serializers.Field) -> Any:
    """Read one query parameter as this field reads it; a 400 under the parameter's name if it can't."""
    try:
        return field.run_validation(request.query_params.get(name, ""))
    except serializers.ValidationError as error:
        raise serializers.ValidationError({name: error.detail}) from error
