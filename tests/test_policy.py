"""What a view says of itself, and whose word counts."""

import re
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from rest_framework.decorators import action, api_view
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from batchapi import batch_exempt, batch_policy, batchable
from batchapi.policy import Policy, read_policy


@batch_policy(priority="low")
class Plain(APIView):
    def get(self, request: Any) -> None: ...

    @batch_policy(priority="critical", changes_identity=True)
    def post(self, request: Any) -> None: ...


class Heir(Plain):
    pass


@batch_policy(priority="high")
class Set(ViewSet):
    def list(self, request: Any) -> None: ...

    @batch_policy(priority="background")
    @action(detail=False, methods=["post"])
    def rebuild(self, request: Any) -> None: ...


@batch_policy(priority="high")
@api_view(["GET"])
def function(request: Any) -> None: ...


@batchable
def plain_django(request: Any) -> None: ...


def test_a_view_that_says_nothing_has_the_default_policy() -> None:
    assert read_policy(APIView.as_view(), "GET") == Policy()


def test_a_method_speaks_before_its_class() -> None:
    assert read_policy(Plain.as_view(), "GET") == Policy(priority="low")
    assert read_policy(Plain.as_view(), "POST") == Policy(priority="critical", changes_identity=True)


def test_a_subclass_inherits_the_policy() -> None:
    assert read_policy(Heir.as_view(), "GET").priority == "low"


def test_an_action_speaks_before_its_viewset() -> None:
    view = Set.as_view({"get": "list", "post": "rebuild"})
    assert read_policy(view, "GET").priority == "high"
    assert read_policy(view, "POST").priority == "background"


def test_a_function_view_speaks_for_itself() -> None:
    assert read_policy(function, "GET").priority == "high"


def test_a_decorator_below_api_view_is_heard_too() -> None:
    """That is where DRF's own decorators go, so people will put ours there; an exempt view must stay exempt."""

    @api_view(["GET"])
    @batch_exempt
    def view(request: Any) -> None: ...

    assert read_policy(view, "GET").batchable is False


def test_a_decorator_between_us_and_the_view_hides_nothing() -> None:
    assert read_policy(login_required(Plain.as_view()), "GET").priority == "low"


def test_batchable_and_exempt_are_opposites() -> None:
    assert read_policy(plain_django, "GET").batchable is True
    assert read_policy(batch_exempt(type("Closed", (Plain,), {})).as_view(), "GET").batchable is False


def test_two_decorators_add_up() -> None:
    @batch_policy(priority="low")
    @batchable
    def view(request: Any) -> None: ...

    assert read_policy(view, "GET") == Policy(batchable=True, priority="low")


def test_a_priority_that_does_not_exist_is_refused_when_the_code_is_read() -> None:
    with pytest.raises(ValueError, match="'urgent' is not a priority; use one of critical, high"):
        batch_policy(priority="urgent")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"ttl": 0}, "A ttl is a whole number of seconds above 0, not 0; cache=False keeps nothing."),
        ({"ttl": 1.5}, "A ttl is a whole number"),
        ({"cache": ""}, "cache is True, False or a name, not ''."),
        ({"cache": 1}, "cache is True, False or a name, not 1."),
        ({"stale": "always"}, "stale is True, False or \"outdated\", not 'always'."),
    ],
)
def test_words_on_caching_that_mean_nothing_are_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        batch_policy(**said)
