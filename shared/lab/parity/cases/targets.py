"""Odd request targets: what a query may hold, how a path may be spelt, and what is no target at all."""

from urllib.parse import unquote

from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.cases.success import base_targets
from shared.lab.parity.cases.success import headers_of
from shared.lab.parity.known import KNOWN
from shared.lab.parity.message import Request

GROUP = "targets"
LINE_OVERHEAD = len("GET  HTTP/1.1")

# With {q} for a parameter of the entry, and {v} for a value it takes.
QUERIES = (
    "?", "??", "?&", "?&&", "?=", "?==", "?&=&", "?{q}={v}&", "?&{q}={v}", "?&&{q}={v}&&", "?{q}={v}&{q}={w}",
    "?{q}=x&{q}={v}", "?{q}={v}&{q}=", "?{q}={v}&{q}", "?{q}=&{q}={v}", "?{q}&{q}={v}", "?unknown=1",
    "?unknown=1&{q}={v}", "?{q}={v};{q}={w}", "?{q}=+{v}", "?{q}=%2B{v}", "?{q}={v}+", "?{q}={v}%20", "?{q}=={v}",
    "?{q}={v}=", "?{q}%3D{v}", "?{q}={v}%26{q}={w}", "?{q}={v}%3B", "?{q}%20={v}", "?+{q}={v}", "?{q}[]={v}",
    "?{q}[0]={v}", "?{Q}={v}", "?{e}={v}", "?%FF={v}&{q}={v}", "?{q}={v}&%FF=%FE", "?{q}={v}&x=%C0%AF",
    "?{q}={v}&x=%ED%A0%80", "?{q}={v}&x=%00", "?{q}={v}&x=%0D%0A", "?{q}={v}&x=%zz", "?{q}={v}&%",
    "?{q}={v}&x=%C3%A9", "?{q}={v}&x=e%CC%81", "?{q}={v}&x=%F0%9F%98%80", "?{q}={v}?{q}={w}", "?{q}={v}/x",
    "?{q}={v}&x=/../..", "?{q}={v}&x='\"<>`{{}}|\\^", "?{q}={v}&x=[1]", "?{q}={v}&x=http://a/b?c=d",
    "?{q}={v}&__class__=x", "?{q}={v}&seed=1", "?{q}={v}&body=1", "?{q}={v}&id=2", "?{q}=%25{v}", "?{q}={v}&x=%2525",
)  # fmt: skip
# Bytes that no target may hold: refused by the parsers, or passed on by one of them.
RAW_QUERIES = ("?{q}={v}&x=\xe9", "?{q}={v}&x=\xc3\xa9", "?{q}={v}&\xff=1", "?{q}={v}#fragment", "?#", "#fragment")

PATHS = (
    "{p}/", "{p}//", "/{p}", "//{p}", "/.{p}", "/..{p}", "/x/..{p}", "{p}/.", "{p}/..", "{p}/x", "{p}/../{l}",
    "{p}%2F", "/%2F{l}", "{p}%00", "{p}%0A", "{p}%0D%0A", "{p}%20", "{p}%3F", "{p}%23", "{p}%25", "{p}%2525",
    "{p};x=1", "{p},", "{p}:", "{p}*", "{p}~", "{p}.json", "{p}%FF", "{p}%C3%A9", "{p}e%CC%81", "{p}%F0%9F%98%80",
    "{p}%C0%AE", "{p}%ED%A0%80", "{p}%", "{p}%4", "{p}%zz", "{U}", "{p}\\", "/\\{l}", "{p}|x", "{p}'\"<>",
    "{p}^`{{}}", "{p}[x]", "{p}@x", "{p}!$&'()*+,;=:@",
)  # fmt: skip
RAW_PATHS = ("{p}\xe9", "{p}\xc3\xa9", "{p}\xff", "/\xf0\x9f\x98\x80", "{p}\x7f", "{p}\x01", "{p}\x00", "{p}\tx")

UNKNOWN = (
    "/", "/nowhere", "//", "///", "/.", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd", "/%", "/%2F", "/%00", "/favicon.ico", "/robots.txt", "/static/x", "/docs/",
    "/docs/swagger-ui.css", "/docs/../openapi.json", "/health", "/health/", "/health//db", "/health/db/x",
    "/accounts/", "/accounts//", "/accounts//deposits", "/accounts/1/", "/accounts/1/deposits/",
    "/accounts/1//deposits", "/accounts/1/Deposits", "/accounts/1/2", "/accounts/1/deposits/2",
    "/'%20OR%201=1", "/<script>alert(1)</script>", "/%3Cscript%3E",
    "/{id}", "/a" * 500, "/" + "%C3%A9" * 300, "/caf%C3%A9", "/cafe%CC%81", "/%E2%80%A8", "/%EF%BB%BF",
    "/:;,@!$&'()*+=~",
)  # fmt: skip


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    for endpoint in endpoints(lab=limits.lab, trace=limits.trace):
        if endpoint.method == "GET" and endpoint.name not in ("sleep", "wait", "blocking", "updates", "read_trace"):
            _queries(found, endpoint)
    for path in ("/plaintext", "/db", "/health/db", "/accounts", "/accounts/1", "/echo"):
        _paths(found, path)
    for target in UNKNOWN:
        found.add(f"unknown path {_label(target)}", Request("GET", target), expects=404, is_common=target == "/")
    _spellings(found)
    _forms(found)
    _lengths(found, limits)
    return found.cases


def _queries(found: CaseList, endpoint: Endpoint) -> None:
    first = base_targets(endpoint)[0]
    path, _, query = first.partition("?")
    name, _, value = query.partition("=") if query else ("x", "", "1")
    # Entries that read no query are all alike: a few of them answer for the rest.
    if not query and endpoint.name not in ("plaintext", "db", "read_account", "pool"):
        return
    value = {"stream": "3", "pattern": "3", "cpu": "3"}.get(endpoint.name, value)
    names = {
        "q": name, "Q": name.upper(), "v": value, "w": "2", "e": "".join(f"%{ord(letter):02x}" for letter in name),
    }  # fmt: skip
    for pattern in (*QUERIES, *RAW_QUERIES):
        target = path + pattern.format(**names)
        found.add(
            f"{endpoint.name}: query {pattern.encode('unicode_escape').decode()}",
            Request("GET", target, headers_of(endpoint)),
            entry=endpoint,
        )
    for count in (99, 100, 101, 500):
        target = f"{path}?{name}={value}&" + "&".join("a=1" for _ in range(count - 1))
        request = Request("GET", target, headers_of(endpoint))
        found.add(f"{endpoint.name}: {count} query fields", request, entry=endpoint)


def _paths(found: CaseList, path: str) -> None:
    method = "POST" if path == "/echo" else "GET"
    names = {"p": path, "l": path[1:], "U": path.upper()}
    for pattern in (*PATHS, *RAW_PATHS):
        target = pattern.format(**names)
        body = b"x" if method == "POST" else None
        headers = headers_of(found_entry(path))
        # The route table takes a path with a line feed after it for the path itself.
        entry = found_entry(path) if unquote(target).strip("\n") == path else None
        found.add(
            f"{path} as {pattern.encode('unicode_escape').decode()}",
            Request(method, target, headers, body),
            entry=entry,
        )


def found_entry(path: str) -> Endpoint:
    """Return the first entry of a path."""
    return next(item for item in endpoints(lab=True, trace=True) if item.path.replace("{id}", "1") == path)


def _spellings(found: CaseList) -> None:
    """Add percent-encoded spellings of paths that exist: the same resource (RFC 3986, section 6.2.2.2)."""
    plaintext, health = found_entry("/plaintext"), found_entry("/health/db")
    for target in ("/%70laintext", "/plaintex%74", "/%70%6C%61%69%6E%74%65%78%74", "/%70%6c%61%69%6e%74%65%78%74"):
        found.add(f"spelt {target}", Request("GET", target), entry=plaintext, expects=200)
    found.add("spelt /%68ealth/db", Request("GET", "/%68ealth/db"), entry=health, expects=200)
    found.add("an encoded slash, decoded before routing", Request("GET", "/health%2Fdb"), entry=health)
    found.add("an encoded slash in lower case", Request("GET", "/health%2fdb"), entry=health)
    found.add(
        "an encoded slash before an id", Request("GET", "/accounts%2F1"), entry=found_entry("/accounts/1"), expects=200
    )
    found.add("an encoded slash before deposits", Request("GET", "/accounts/1%2Fdeposits"), expects=405)
    found.add("a template as path", Request("GET", "/accounts/{id}"), expects=422)
    found.add("a slash encoded twice", Request("GET", "/health%252Fdb"), expects=404)


def _forms(found: CaseList) -> None:
    """Add the other forms of a target (RFC 9112, section 3.2)."""
    plaintext = found_entry("/plaintext")
    queries = found_entry("/queries")
    found.add("absolute form", Request("GET", "http://127.0.0.1/plaintext"), entry=plaintext, expects=200)
    found.add("absolute form with a port", Request("GET", "http://example.org:8080/plaintext"), entry=plaintext)
    found.add(
        "absolute form with a query", Request("GET", "http://x/queries?queries=3", headers_of(queries)), entry=queries
    )
    found.add("absolute form without a path", Request("GET", "http://127.0.0.1"))
    found.add("absolute form with a user", Request("GET", "http://a:b@127.0.0.1/plaintext"), entry=plaintext)
    found.add("absolute form, https", Request("GET", "https://127.0.0.1/plaintext"), entry=plaintext)
    found.add("absolute form, encoded path", Request("GET", "http://127.0.0.1/%70laintext"), entry=plaintext)
    found.add("absolute form, unknown path", Request("GET", "http://127.0.0.1/nowhere%20x"), expects=404)
    found.add("asterisk form", Request("OPTIONS", "*"))
    found.add("asterisk form of GET", Request("GET", "*"))
    found.add("authority form", Request("CONNECT", "127.0.0.1:80"), known=KNOWN["authority form"])
    found.add("authority form of GET", Request("GET", "127.0.0.1:80"))
    found.add("no slash", Request("GET", "plaintext"))
    found.add("another scheme", Request("GET", "ftp://127.0.0.1/plaintext"))
    found.add("two hosts in a path", Request("GET", "//example.org/plaintext"))
    found.add("a colon first", Request("GET", "/:80/plaintext"), expects=404)
    found.add("a scheme in a path", Request("GET", "/http://x/plaintext"), expects=404)


def _lengths(found: CaseList, limits: Limits) -> None:
    """Add request lines around the limit, by path and by query."""
    room = limits.max_line_bytes - LINE_OVERHEAD
    for size in (1_000, room - 2, room - 1, room, room + 1, room + 2, room + 100, 20_000, 70_000):
        at = f"{size - room:+d} of the limit" if abs(size - room) <= 100 else f"{size:,}"
        found.add(f"query, target bytes {at}", Request("GET", "/plaintext?" + "x" * (size - 11)))
        found.add(f"path, target bytes {at}", Request("GET", "/" + "x" * (size - 1)))
        if abs(size - room) <= 2:
            body = b"x"
            found.add(f"POST, target bytes {at}", Request("POST", "/echo?" + "x" * (size - 6), (), body))


def _label(target: str) -> str:
    return target if len(target) <= 60 else f"{target[:16]}...({len(target)})"
