"""What a batch remembers of its look-ups, and what makes it forget."""

from itertools import count

import pytest

from batchapi.execute.memory import Memory

USERS, CHATS = frozenset({"auth_user"}), frozenset({"chat_session"})


@pytest.fixture
def memory() -> Memory:
    return Memory()


class LookUp:
    """A look-up that reads tables as the SQL observer would tell, and finds another list each time it runs."""

    def __init__(self, memory: Memory, *tables: str) -> None:
        self.memory = memory
        self.tables = frozenset(tables)
        self.runs = count(1)

    def __call__(self) -> list[int]:
        if self.tables:
            self.memory.observe(self.tables, is_write=False)
        return [next(self.runs)]


def keep(_: object) -> bool:
    return True


def test_a_look_up_runs_once(memory: Memory) -> None:
    look_up = LookUp(memory, "auth_user")
    assert [memory.recall("k", look_up, keep=keep) for _ in range(3)] == [[1], [1], [1]]


def test_everybody_gets_a_copy_of_their_own(memory: Memory) -> None:
    """What one view does to its user, no other view sees."""
    look_up = LookUp(memory, "auth_user")
    for _ in range(3):
        value = memory.recall("k", look_up, keep=keep)
        assert value == [1]
        value.append(99)


def test_a_write_to_a_table_that_it_read_outdates_it(memory: Memory) -> None:
    look_up = LookUp(memory, "auth_user", "authtoken_token")
    memory.recall("k", look_up, keep=keep)
    memory.observe(CHATS, is_write=True)
    assert memory.recall("k", look_up, keep=keep) == [1]
    memory.observe(USERS, is_write=True)
    assert memory.recall("k", look_up, keep=keep) == [2]


def test_what_others_read_before_the_commit_is_outdated_by_it(memory: Memory) -> None:
    """They ran beside the writer, on another connection, and found what was there before."""
    look_up = LookUp(memory, "auth_user")
    memory.observe(USERS, is_write=True)
    assert memory.recall("k", look_up, keep=keep) == [1]
    memory.outdate(USERS)
    assert memory.recall("k", look_up, keep=keep) == [2]


def test_a_look_up_that_runs_during_a_commit_is_not_kept(memory: Memory) -> None:
    look_up = LookUp(memory, "auth_user")

    def slow() -> list[int]:
        found = look_up()
        memory.outdate(CHATS)
        return found

    memory.recall("k", slow, keep=keep)
    assert memory.recall("k", look_up, keep=keep) == [2]


def test_a_table_may_be_named_that_no_statement_showed(memory: Memory) -> None:
    look_up = LookUp(memory)
    memory.recall("k", look_up, keep=keep, tables=USERS)
    memory.observe(USERS, is_write=True)
    assert memory.recall("k", look_up, keep=keep, tables=USERS) == [2]


def test_what_read_no_table_is_forgotten_after_an_unsafe_sub_request(memory: Memory) -> None:
    tracked, untracked = LookUp(memory, "auth_user"), LookUp(memory)
    memory.recall("tracked", tracked, keep=keep)
    memory.recall("untracked", untracked, keep=keep)
    memory.forget_untracked()
    assert memory.recall("tracked", tracked, keep=keep) == [1]
    assert memory.recall("untracked", untracked, keep=keep) == [2]


def test_a_look_up_inside_a_look_up_counts_for_both(memory: Memory) -> None:
    inner = LookUp(memory, "auth_user")

    def outer() -> list[int]:
        memory.observe(CHATS, is_write=False)
        return memory.recall("inner", inner, keep=keep)

    memory.recall("outer", outer, keep=keep)
    memory.observe(USERS, is_write=True)
    assert memory.kept == {}


def test_a_remembered_look_up_inside_a_look_up_counts_for_both(memory: Memory) -> None:
    inner = LookUp(memory, "auth_user")
    memory.recall("inner", inner, keep=keep)
    memory.recall("outer", lambda: memory.recall("inner", inner, keep=keep), keep=keep)
    memory.observe(USERS, is_write=True)
    assert memory.kept == {}


def test_a_look_up_that_raises_is_not_kept_and_leaves_nothing_behind(memory: Memory) -> None:
    def broken() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        memory.recall("k", broken, keep=keep)
    assert memory.reading == []
    assert memory.kept == {}


def test_what_is_not_to_be_kept_is_looked_up_again(memory: Memory) -> None:
    look_up = LookUp(memory, "auth_user")
    assert memory.recall("k", look_up, keep=lambda _: False) == [1]
    assert memory.recall("k", look_up, keep=lambda _: False) == [2]
