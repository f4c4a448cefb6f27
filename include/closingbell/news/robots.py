"""robots.txt -> whether it lets us read an address, by RFC 9309: groups by product token, the longest rule decides.

`urllib.robotparser` takes the first rule and knows no `*` and `$`, so that it reads pages that a site forbids.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

LINE = re.compile(r"\s*([A-Za-z-]+)\s*:\s*([^#]*)")


def allows(text: str, agent: str, url: str) -> bool:
    """Whether a robots.txt of this text lets `agent` (a product token) read `url`; without a rule for it, it does."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    agents: list[str] = []
    ruled = False
    for field, value in (found.groups() for line in text.lstrip("\ufeff").splitlines() if (found := LINE.match(line))):
        field, value = field.lower(), value.strip()
        if field == "user-agent":
            agents = [*([] if ruled else agents), re.split(r"[/\s]", value.lower())[0]]
            ruled = False
            groups.setdefault(agents[-1], [])
        elif field in ("allow", "disallow"):
            ruled = True
            for name in agents:
                groups[name].append((field == "allow", value))
    rules = groups.get(agent.lower(), groups.get("*", []))
    parts = urlsplit(url)
    path = unquote(parts.path or "/") + (f"?{unquote(parts.query)}" if parts.query else "")
    matching = [(len(rule), allowed) for allowed, rule in rules if rule and _matches(unquote(rule), path)]
    return max(matching, default=(0, True))[1]  # of two as long, the one that allows


def _matches(rule: str, path: str) -> bool:
    first, *rest = rule.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    if rule.endswith("$"):
        if not rest:
            return at == len(path)
        last = rest.pop()
        if len(path) - len(last) < at or not path.endswith(last):
            return False
        path = path[: len(path) - len(last)]
    for part in rest:
        if (found := path.find(part, at)) < 0:
            return False
        at = found + len(part)
    return True
