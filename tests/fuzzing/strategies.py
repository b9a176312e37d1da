"""Batches that make sense, and what can be done to them."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HUGE = 10**4000
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -0.0, -1, 1.0, 2**53, -(2**53), 2**64, HUGE, 1e308, 5e-324, [], {}, [[]], [None], {"": 0}),
    *("", " ", "0", "\0", "\n", "\r\nX: y", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "\u017f", "\U0010ffff"),
    *("x" * 300, "$", "$$", "$a", "${a}", "$a.body#", "$a.body#/~2", "$a.headers#", "{a}", "..", "//", "%", "%00"),
    *("__proto__", "__class__", {"$ref": "#"}, ["a"] * 101, [{}] * 3, {"a": {"a": {}}}),
)
NAMES = (
    *("id", "requestId", "referenceId", "url", "path", "relative_url", "uri", "method", "headers", "body", "bind"),
    *("dependsOn", "depends_on", "waitFor", "if", "atomicityGroup", "priority", "timeout", "requests", "ordering"),
    *("defaults", "__proto__", "", "x"),
)
odd = st.sampled_from(ODD)
ids = st.sampled_from(["a", "b", "c", 7, "\u00e9", "x y", "$", "{a}", "a.body#", "a/$succeeded"])
valid_requests = st.fixed_dictionaries(
    {"url": st.sampled_from(["/api/items/x/", "items/x/", "/api/items/{v}/", "/nowhere/", "/api/meta/?a=1"])},
    optional={
        "method": st.sampled_from(["GET", "post", "PATCH", "HEAD"]),
        "headers": st.fixed_dictionaries(
            {},
            optional={"Accept": st.just("*/*"), "if-match": st.sampled_from(['"e"', "$0"]), "X": st.just(["a", "b"])},
        ),
        "body": st.sampled_from(["text", {"a": [1]}, [1, 2], 0, "YQ=="]),
        "dependsOn": st.sampled_from(["0", ["0"], 0, "g"]),
        "priority": st.sampled_from(["critical", "background"]),
        "timeout": st.sampled_from([1, 0.5]),
        "bind": st.sampled_from([{"{v}": "$0.body#/a"}, {"/a": "$0.headers#/Etag"}]),
        "if": st.sampled_from(["$0/$succeeded", "not $g/$succeeded"]),
        "atomicityGroup": st.sampled_from(["g", "h"]),
    },
)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and under which name or index."""
    for key, child in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(child, (dict, list)):
            yield from places(child)


@st.composite
def batches(draw: st.DrawFn) -> Any:
    """One to five sub-requests, each with an id or none."""
    items = draw(st.lists(valid_requests, min_size=1, max_size=5).map(copy.deepcopy))
    for item, name in zip(items, draw(st.lists(ids, unique=True, max_size=5)), strict=False):
        item["id"] = name
    return draw(st.sampled_from([items, {"requests": items}, {"requests": items, "ordering": "relaxed"}]))


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A batch in which some places have a value, or a name, that nobody would give them."""
    batch = draw(batches())
    for _ in range(draw(st.integers(1, 3))):
        there = list(places(batch))
        if not there:  # Everything has been taken away.
            return batch
        holder, key = draw(st.sampled_from(there))
        match draw(st.sampled_from(["replace", "add", "swap", "wrap"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(odd))
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = copy.deepcopy(draw(odd))
            case "swap":
                holder[key] = copy.deepcopy(draw(st.sampled_from([owner[name] for owner, name in there])))
            case _:
                holder[key] = [holder[key]]
    return batch


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A batch as bytes, some of which were changed, taken out, doubled; or an object with a member twice."""
    text = json.dumps(draw(batches() | mutated()), ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        name, value = draw(st.sampled_from(NAMES)), json.dumps(draw(odd))
        text = text.replace("{", f'{{"{name}": {value}, ', 1).replace("}", f', "{name}": {value}}}', 1)
    raw = text.encode(errors="surrogatepass")
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 6))
        put = draw(st.binary(max_size=4) | st.just(raw[at : at + 40]))
        raw = raw[:at] + put + raw[at + length :]
    return raw
