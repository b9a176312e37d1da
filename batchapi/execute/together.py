"""What the sub-requests of one wave share while they run beside each other. Whoever calls it holds the board's lock."""

from collections.abc import Iterable

from batchapi.batch import Node, SubResponse
from batchapi.execute.attempt import Attempt
from batchapi.execute.dedupe import Duplicates, view_of
from batchapi.execute.jar import Jar, Kept
from batchapi.execute.turns import Turn, Turnstile
from batchapi.execute.twins import may_throttle


class Together:
    """The throttles' turns, the questions that were asked, and the cookies of answers that are not final yet."""

    def __init__(self, nodes: tuple[Node, ...], *, jar: Jar, ignores: tuple[str, ...], is_ordered: bool) -> None:
        self.nodes = nodes
        self.jar = jar
        self.tries: dict[int, Attempt] = {}  # the last one of each place
        self.turns: dict[int, Turn] = {}
        self.turnstile = Turnstile([place for place, node in enumerate(nodes) if is_ordered and may_be_throttled(node)])
        self.duplicates = Duplicates(ignores=ignores)
        self.cookies: dict[int, list[Kept]] = {}  # by the places of those that are done

    def turn_of(self, place: int) -> Turn:
        """The throttle checks of a sub-request, also of one that is tried once more."""
        return self.turns.setdefault(place, Turn(self.turnstile, place))

    def note(self, trying: Attempt, responses: list[SubResponse]) -> bool:
        """Keep what others may need of an attempt that is done, and tell whether they could have noticed it."""
        place = trying.place
        self.turnstile.leave(place)
        # A view may have been in time, and its stream not: then its cookies are on no answer.
        cookies = trying.cookies if trying.is_deferred and any(response.cookies for response in responses) else []
        self.cookies[place] = cookies
        is_noisy = trying.has_effects or (bool(cookies) and self.jar.would_notice(cookies))
        if is_noisy or not self.nodes[place].is_safe:
            self.duplicates.forget()
        elif len(responses) == 1:
            self.duplicates.keep(place, responses[0])
        return is_noisy

    def overtake(self, places: Iterable[int]) -> None:
        """Let those know whose answers will not count: they need not go on."""
        for place in places:
            self.tries[place].is_overtaken = True
        self.turnstile.wake()

    def leave(self, places: Iterable[int]) -> None:
        """Nobody waits for the turn of one that never comes."""
        for place in places:
            self.turnstile.leave(place)

    def keep_cookies(self, place: int) -> None:
        """The cookies of an answer count from now on."""
        self.jar.keep(*self.cookies.pop(place, ()))


def may_be_throttled(node: Node) -> bool:
    """Whether a node may come to a throttle check, as far as one knows before its references are filled in."""
    return any(member.route is None or may_throttle(view_of(member)) for member in node.members)
