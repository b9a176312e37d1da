"""Which sub-requests are moved as one: each alone, and the members of an atomic group together."""

from collections.abc import Mapping

from batchapi.batch import Batch, Node, SubRequest
from batchapi.exceptions import CyclicDependency


def make_nodes(batch: Batch) -> tuple[Node, ...]:
    """The nodes of a batch, in the order of their first members.

    To depend on a member of a group from outside is to depend on the group. Raises CyclicDependency for a member that
    waits for a later one of its own group: they run in listed order.
    """
    members: dict[str, list[SubRequest]] = {}
    for request in batch.requests:
        members.setdefault(home(request), []).append(request)
    homes = {request.key: home(request) for request in batch.requests} | {key: key for key in members}
    for group in members.values():
        check_listed_order(group, pointer=batch.pointer)
    return tuple(make_node(key, tuple(group), homes) for key, group in members.items())


def home(request: SubRequest) -> str:
    """The key of the node that a sub-request is in."""
    return request.key if request.group is None else request.group


def make_node(key: str, members: tuple[SubRequest, ...], homes: Mapping[str, str]) -> Node:
    """One node, which waits for all that its members wait for outside."""
    outside = {homes[needed] for member in members for needed in member.depends_on} - {key}
    is_group = members[0].group is not None
    if not is_group and key in members[0].depends_on:
        outside = outside | {key}  # A sub-request that waits for itself is a cycle of one.
    return Node(key=key, members=members, depends_on=frozenset(outside), is_group=is_group)


def check_listed_order(members: list[SubRequest], *, pointer: str) -> None:
    """Refuse a group whose members wait for later ones, or for the group itself."""
    ahead = {member.key for member in members} | {member.group for member in members if member.group}
    for member in members:
        if member.group is not None and not ahead.isdisjoint(member.depends_on):
            raise CyclicDependency(
                "The members of an atomic group run in the order of the list; this one waits for a later one.",
                pointer=f"{pointer}/{member.index}",
            )
        ahead.discard(member.key)
