"""What a batch means, said as plainly as possible: one sub-request after the other, on dicts, in effective order."""

from typing import Any

from tests.execute.resource import Answer, Browser, Rows, in_dict

URGENCY = ["critical", "high", "normal", "low", "background"]
Item = dict[str, Any]
Told = tuple[int, Any]  # status; the body of a success, else the code of a problem of ours, else None


def home(item: Item) -> str:
    return str(item.get("atomicityGroup") or item["id"])


def sources(item: Item) -> list[str]:
    """The ids that a sub-request takes from."""
    found = [source[1:].split(".body#")[0] for source in item.get("bind", {}).values()]
    return found + ([item["url"][1:].split("/")[0]] if item["url"].startswith("$") else [])


def condition(item: Item) -> tuple[str | None, bool]:
    """Who is named by `if`, and which outcome it asks for."""
    text = item.get("if", "")
    return (text.removeprefix("not ")[1:].removesuffix("/$succeeded") or None), not text.startswith("not ")


def needs(item: Item) -> set[str]:
    """All names that a sub-request waits for."""
    named = condition(item)[0]
    return {*item.get("dependsOn", []), *sources(item), *([named] if named else [])}


def may_be_login(item: Item) -> bool:
    """A write whose view is not known yet."""
    return item["method"] != "GET" and (item["url"].startswith("$") or "{" in item["url"])


def effective_order(items: list[Item]) -> list[list[Item]]:
    """The members of each node, in effective order."""
    nodes: dict[str, list[Item]] = {}
    for item in items:
        nodes.setdefault(home(item), []).append(item)
    homes = {item["id"]: home(item) for item in items} | {key: key for key in nodes}
    waits = {key: {homes[name] for member in node for name in needs(member)} - {key} for key, node in nodes.items()}

    def urgency(key: str) -> int:
        own = [URGENCY.index(member.get("priority", "normal")) for member in nodes[key]]
        return min([*own, *(urgency(other) for other in nodes if key in waits[other])])

    def take(may_go: Any, rank: Any) -> list[str]:
        taken: list[str] = []
        while len(taken) < len(nodes):
            free = [key for key in nodes if key not in taken and waits[key] <= set(taken) and may_go(key, taken)]
            taken.append(min(free, key=lambda key: (rank(key), list(nodes).index(key))))
        return taken

    base = take(lambda _key, _taken: True, lambda _key: 0)
    fences = {key for key in nodes if any(map(may_be_login, nodes[key]))}

    def keeps_its_side(key: str, taken: list[str]) -> bool:
        before = base[: base.index(key)]
        return all(other in taken for other in before if key in fences or other in fences)

    return [nodes[key] for key in take(keeps_its_side, urgency)]


class Interpreter:
    """Runs a batch on rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = dict(rows)
        self.browser: Browser = {}
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, tuple[str, str]] = {}  # method and URL with its values
        self.told: dict[str, Told] = {}
        self.succeeded: dict[str, bool] = {}

    def run(self, items: list[Item]) -> dict[str, Told]:
        for node in effective_order(items):
            if "atomicityGroup" in node[0]:
                self.run_group(node)
            else:
                self.run_one(node[0])
        return self.told

    def run_group(self, node: list[Item]) -> None:
        before, failed = (dict(self.rows), dict(self.browser)), None
        for item in node:
            self.run_one(item)
            if not self.succeeded[item["id"]] and self.told[item["id"]] != (424, "condition_false"):
                failed = item
                break
        self.succeeded[node[0]["atomicityGroup"]] = failed is None
        if failed:
            self.rows, self.browser = before
            for item in node:
                if item is not failed:
                    self.tell(item, (424, None, None), "rolled_back")

    def run_one(self, item: Item) -> None:
        named, wanted = condition(item)
        if not all(self.succeeded[name] for name in needs(item) if name != named):
            return self.tell(item, (424, None, None), "dependency_failed")
        if named and self.succeeded[named] != wanted:
            return self.tell(item, (424, None, None), "condition_false")
        try:
            url, value = self.fill_in(item)
        except LookupError:
            return self.tell(item, (400, None, None), "unresolved_reference")
        self.asked[item["id"]] = item["method"], url
        answer = in_dict(self.rows, self.browser, item["method"], url, value)
        return self.tell(item, answer, "crashed" if answer[0] == 500 else None)

    def fill_in(self, item: Item) -> tuple[str, str]:
        """The URL and the value that a sub-request really sends."""
        url, value = item["url"], item["body"]["value"]
        for target, source in item.get("bind", {}).items():
            key, place = source[1:].split(".body#/")
            found = (self.answers[key][1] or {})[place]
            url, value = (url, found) if target == "/value" else (url.replace(target, found), value)
        if url.startswith("$"):
            key = url[1:].split("/")[0]
            method, asked = self.asked[key]
            location = self.answers[key][2] or (asked if method != "POST" else None)
            if location is None:
                raise LookupError
            url = location + url[2 + len(key) :]
        return url, value

    def tell(self, item: Item, answer: Answer, code: str | None) -> None:
        self.answers[item["id"]] = answer
        self.succeeded[item["id"]] = 200 <= answer[0] < 300
        self.asked.setdefault(item["id"], (item["method"], item["url"]))
        self.told[item["id"]] = answer[0], answer[1] if self.succeeded[item["id"]] else code
