"""Who goes first. Urgent nodes move ahead, but some never pass each other.

Only a priority that the client wrote moves an unsafe node past another unsafe one; what a view's policy or a rule of
the project says moves safe ones only. Nothing passes a node that changes who is asking.
"""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

from batchapi.batch import Node, Priority, PriorityRule, SubRequest
from batchapi.plan.dependencies import sort

Edges = dict[str, set[str]]


def priority_order(base: tuple[Node, ...], *, rules: Sequence[PriorityRule]) -> tuple[Node, ...]:
    """Effective order, given an order that respects the dependencies.

    Every edge that is added agrees with an order that exists already, so no cycle can come of it.
    """
    by_client = effective(base, of=asked_priority)
    by_all = effective(base, of=lambda request: own_priority(request, rules))
    if len({*zip(by_client.values(), by_all.values(), strict=True)}) <= 1:
        return base  # Nobody is more urgent than anybody else: most batches.
    edges: Edges = {node.key: set(node.depends_on) for node in base}
    link(edges, fences(base))
    asked = sort(base, edges=edges, rank=lambda node: by_client[node.key])
    link(edges, pairwise(node for node in asked if not node.is_safe))
    return sort(base, edges=edges, rank=lambda node: by_all[node.key])


def fences(base: Sequence[Node]) -> Iterable[tuple[Node, Node]]:
    """Pairs that keep everything on its side of each node that changes who is asking."""
    fence: Node | None = None
    since: list[Node] = []
    for node in base:
        if fence:
            yield fence, node
        if node.changes_identity:
            yield from ((earlier, node) for earlier in since)
            fence, since = node, []
        else:
            since.append(node)


def link(edges: Edges, pairs: Iterable[tuple[Node, Node]]) -> None:
    """Let the first of each pair go before the second."""
    for before, after in pairs:
        edges[after.key].add(before.key)


def effective(base: Sequence[Node], *, of: Callable[[SubRequest], Priority]) -> dict[str, Priority]:
    """The most urgent priority of each node, of its members and all that wait for it, directly or not."""
    best = {node.key: min(map(of, node.members)) for node in base}
    for node in reversed(base):  # Dependants come before what they wait for.
        for key in node.depends_on:
            best[key] = min(best[key], best[node.key])
    return best


def asked_priority(request: SubRequest) -> Priority:
    """What the client says, else normal."""
    return Priority.NORMAL if request.priority is None else request.priority


def own_priority(request: SubRequest, rules: Sequence[PriorityRule]) -> Priority:
    """What the client says, else the view's policy, else the first rule that matches, else normal."""
    if request.priority is not None:
        return request.priority
    if request.policy.priority is not None:
        return Priority[request.policy.priority.upper()]
    return next((rule.priority for rule in rules if matches(rule, request)), Priority.NORMAL)


def matches(rule: PriorityRule, request: SubRequest) -> bool:
    """Whether a rule speaks of a sub-request: by its method, and by its route name or path."""
    if request.route is None or rule.method not in ("*", request.method):
        return False
    if rule.pattern.startswith("/"):
        return fnmatchcase(request.route.path_info, rule.pattern)
    return rule.pattern == request.route_name
