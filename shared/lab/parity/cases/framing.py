"""Header fields and message framing: what HTTP/1.1 allows, and what it forbids."""

from dataclasses import replace

from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import seeded
from shared.lab.parity.cases.success import ENTRY
from shared.lab.parity.known import KNOWN
from shared.lab.parity.message import Request

GROUP = "framing"


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    _headers(found)
    _header_limits(found, limits)
    _bodies(found, limits)
    _expectations(found, limits)
    _versions(found)
    _chunked(found)
    _ambiguous(found)
    _pipelines(found)
    _seeds(found)
    return found.cases


def raw(*lines: str, body: bytes = b"") -> Request:
    """Return a request from its lines; Host and Connection are the caller's to write."""
    method = lines[0].partition(" ")[0]
    return Request(method, raw="\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def _headers(found: CaseList) -> None:
    plaintext = ENTRY["plaintext"]
    for name, fields in {
        "empty value": (("X-Empty", ""),),
        "obs-text": (("X-Text", "caf\xe9 \xff"),),
        "UTF-8": (("X-Text", "caf\xc3\xa9"),),
        "tab inside": (("X-Text", "a\tb"),),
        "the same twice": (("X-Text", "a"), ("X-Text", "b")),
        "cookies twice": (("Cookie", "a=1"), ("Cookie", "b=2")),
        "underscore": (("X_Text", "a"), ("X-Text", "b")),
        "odd but legal name": (("!#$%&'*+-.^_`|~0", "a"),),
        "long name": (("X-" + "n" * 500, "a"),),
        "long value": (("X-Text", "v" * 5_000),),
        "Host with a port": (
            ("X-Forwarded-Host", "evil:1"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Proto", "https"),
        ),
        "method override": (("X-HTTP-Method-Override", "DELETE"),),
        "script name": (("Script-Name", "/plaintext"), ("SCRIPT_NAME", "/plaintext")),
        "Accept": (("Accept", "application/xml"), ("Accept-Encoding", "gzip, br"), ("Accept-Language", "de")),
        "conditions": (("If-None-Match", "*"), ("If-Modified-Since", "Thu, 01 Jan 2037 00:00:00 GMT")),
        "Range": (("Range", "bytes=0-3"),),
        "Upgrade": (("Upgrade", "h2c"), ("HTTP2-Settings", "x")),
        "TE": (("TE", "trailers"),),
        "traceparent": (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
        "wrong traceparent": (("traceparent", "\xff"),),
        "Content-Type without a body": (("Content-Type", "application/json"),),
        "Origin": (("Origin", "http://evil.example"), ("Access-Control-Request-Method", "DELETE")),
    }.items():
        found.add(f"header {name}", Request("GET", "/plaintext", fields), entry=plaintext, expects=200)
    for connection in ("Close", "CLOSE "):
        request = Request("GET", "/plaintext", (("Connection", connection),))
        found.add(f"Connection: {connection}", request, entry=plaintext, expects=200)
    for host in ("x" * 300, "example.org:99999", "[::1]", "a b", "a,b", "user@x", "caf\xe9"):
        request = Request("GET", "/plaintext", host=host)
        found.add(f"Host {host[:20]!r}", request, entry=plaintext)
    for name, lines in {
        "no Host": ("Connection: close",),
        "two Hosts": ("Host: a", "Host: b", "Connection: close"),
        "empty Host": ("Host: ", "Connection: close"),
        "space before the colon": ("Host: a", "X-Text : a", "Connection: close"),
        "folded value": ("Host: a", "X-Text: a", " b", "Connection: close"),
        "no colon": ("Host: a", "X-Text", "Connection: close"),
        "empty name": ("Host: a", ": a", "Connection: close"),
        "NUL in a value": ("Host: a", "X-Text: a\x00b", "Connection: close"),
        "CR in a value": ("Host: a", "X-Text: a\rb", "Connection: close"),
        "control in a value": ("Host: a", "X-Text: a\x01b", "Connection: close"),
        "LF alone": ("Host: a\nX-Text: b", "Connection: close"),
        "space in a name": ("Host: a", "X Text: a", "Connection: close"),
        "non-ASCII name": ("Host: a", "X-T\xe9xt: a", "Connection: close"),
        "space first": (" Host: a", "Connection: close"),
        "value without a space": ("Host:a", "X-Text:a", "Connection:close"),
        "spaces around a value": ("Host:   a  ", "X-Text: \t a \t", "Connection: close"),
    }.items():
        _raw(found, f"fields: {name}", raw("GET /plaintext HTTP/1.1", *lines))


def _raw(found: CaseList, name: str, request: Request) -> None:
    found.add(name, request, known=KNOWN.get(name, ""))


def _header_limits(found: CaseList, limits: Limits) -> None:
    most = limits.max_header_count
    # Host and Connection are two of them.
    for count in (most - 1, most, most + 1, most * 2):
        fields = tuple((f"X-{n}", "v") for n in range(count - 2))
        found.add(f"{count} header fields", Request("GET", "/plaintext", fields), expects=200 if count <= most else 431)
    for count in (5_000, 100_000):
        many = Request("GET", "/plaintext", (("X-Text", "v"),) * (count - 2))
        found.add(f"{count} header fields", many, expects=431)
    size = limits.max_header_bytes
    for total in (
        size - 200,
        size - 4,
        size - 3,
        size - 2,
        size - 1,
        size,
        size + 1,
        size + 2,
        size + 3,
        size + 4,
        size + 200,
        100_000,
    ):
        name = "X-Text"
        request = Request("GET", "/plaintext", ((name, "v" * (total - len(name))),))
        label = f"{total - size:+d} of the limit" if abs(total - size) <= 200 else f"{total:,}"
        found.add(f"header field, bytes of name and value {label}", request)
    found.add("header of 1 MiB", Request("GET", "/plaintext", (("X-Text", "v" * 1_048_576),)), expects=431)


def _bodies(found: CaseList, limits: Limits) -> None:
    for target in ("/plaintext", "/db", "/fortunes", "/nowhere", "/livez"):
        headers = seeded() if target == "/db" else ()
        for name, request in {
            "a body": Request("GET", target, headers, b"x" * 100),
            "an empty body": Request("GET", target, headers, b""),
            "a chunked body": Request("GET", target, headers, chunks=(b"x" * 100, b"y")),
            "a large body": Request("GET", target, headers, b"x" * 200_000),
        }.items():
            found.add(f"GET {target} with {name}", request)
    for path, limit in (("/echo", limits.max_body_bytes), ("/upload", limits.max_upload_bytes)):
        entry = ENTRY[path[1:]]
        declared = limit or 2**40
        found.add(
            f"{path} too large by its declaration",
            Request("POST", path, (("Content-Length", str(declared + 1)),)),
            entry=entry,
            expects=413,
            is_common=True,
        )
        found.add(
            f"{path} far too large by its declaration",
            Request("POST", path, (("Content-Length", str(10**18)),)),
            entry=entry,
            expects=413,
        )
        if limit is None:
            continue
        for name, chunks in {
            "as large as allowed, chunked": (b"x" * limit,),
            "too large in one chunk": (b"x" * (limit + 1),),
            "too large by the last chunk": (b"x" * limit, b"x"),
            "too large in many chunks": (b"x" * 65_536,) * (limit // 65_536 + 1),
        }.items():
            found.add(
                f"{path} {name}",
                Request("POST", path, chunks=chunks),
                entry=entry,
                expects=200 if "allowed" in name else 413,
            )
    for length in ("2", "5"):
        lines = ("POST /echo HTTP/1.1", "Host: a", "Connection: close", f"Content-Length: {length}")
        found.add(f"body longer than its declared {length}", raw(*lines, body=b"abcdefgh"))
    for coding in ("gzip", "br", "identity", "x"):
        request = Request("POST", "/echo", (("Content-Encoding", coding),), b"not compressed")
        found.add(f"Content-Encoding {coding}", request, entry=ENTRY["echo"], expects=200)


def _expectations(found: CaseList, limits: Limits) -> None:
    echo = ENTRY["echo"]
    expect = ("Expect", "100-continue")
    found.add(
        "Expect: 100-continue",
        Request("POST", "/echo", (expect,), b"x" * 10, awaits_continue=True),
        entry=echo,
        expects=200,
    )
    found.add(
        "Expect: 100-Continue, chunked",
        Request("POST", "/echo", (("Expect", "100-Continue"),), chunks=(b"x", b"y"), awaits_continue=True),
        entry=echo,
        expects=200,
    )
    found.add("Expect: 100-continue, body sent at once", Request("POST", "/echo", (expect,), b"x" * 10), entry=echo)
    found.add("Expect: 100-continue, no body", Request("GET", "/plaintext", (expect,)))
    found.add("Expect: 100-continue, empty body", Request("POST", "/echo", (expect,), b""))
    found.add(
        "Expect: 100-continue, refused by its path",
        Request("POST", "/nowhere", (expect,), b"x", awaits_continue=True),
        expects=404,
    )
    large = Request("POST", "/echo", (expect, ("Content-Length", str(limits.max_body_bytes + 1))), awaits_continue=True)
    found.add("Expect: 100-continue, too large by its declaration", large, entry=echo, expects=413)
    for value in ("200-ok", "100-continue, other", ""):
        found.add(f"Expect: {value}", Request("POST", "/echo", (("Expect", value),), b"x"), expects=417)


def _versions(found: CaseList) -> None:
    for target in ("/plaintext", "/db", "/fortunes", "/stream?rows=5", "/bytes?size=70000", "/nowhere", "/accounts/x"):
        headers = seeded() if target == "/db" else ()
        entry = next((item for item in ENTRY.values() if item.path == target.partition("?")[0]), None)
        found.add(f"HTTP/1.0 {target}", Request("GET", target, headers, version="1.0"), entry=entry)
    found.add("HTTP/1.0 POST", Request("POST", "/echo", (), b"x", version="1.0"), entry=ENTRY["echo"], expects=200)
    found.add("HTTP/1.0 HEAD", Request("HEAD", "/plaintext", version="1.0"), expects=200)
    _raw(found, "HTTP/1.0 without Host", raw("GET /plaintext HTTP/1.0"))
    for version in ("1.2", "2.0", "0.9", "1", "1.10", "3.0", "x"):
        found.add(f"HTTP/{version}", Request("GET", "/plaintext", version=version))
    for name, line in {
        "no version": "GET /plaintext",
        "lower-case HTTP": "GET /plaintext http/1.1",
        "two spaces": "GET  /plaintext HTTP/1.1",
        "space in the target": "GET /plain text HTTP/1.1",
        "space at the end": "GET /plaintext HTTP/1.1 ",
        "tab instead of space": "GET\t/plaintext\tHTTP/1.1",
        "lower-case method": "get /plaintext HTTP/1.1",
        "unknown method": "BREW /plaintext HTTP/1.1",
        "method with odd characters": "G!T /plaintext HTTP/1.1",
        "method with illegal characters": "G(T /plaintext HTTP/1.1",
        "empty method": " /plaintext HTTP/1.1",
        "empty line first": "\r\nGET /plaintext HTTP/1.1",
        "no target": "GET HTTP/1.1",
        "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "HTTP/2 preface": "PRI * HTTP/2.0",
    }.items():
        _raw(found, f"line: {name}", raw(line, "Host: a", "Connection: close"))


def _chunked(found: CaseList) -> None:
    for name, body in {
        "extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
        "quoted extension": b'3;a="b;c"\r\nabc\r\n0\r\n\r\n',
        "trailer": b"3\r\nabc\r\n0\r\nX-Trailer: a\r\n\r\n",
        "upper-case size": b"A\r\n0123456789\r\n0\r\n\r\n",
        "leading zeros": b"0003\r\nabc\r\n000\r\n\r\n",
        "no data": b"0\r\n\r\n",
        "size with a sign": b"+3\r\nabc\r\n0\r\n\r\n",
        "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
        "size that is no number": b"z\r\nabc\r\n0\r\n\r\n",
        "empty size": b"\r\nabc\r\n0\r\n\r\n",
        "space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
        "space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
        "huge size": b"FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "data longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
        "LF alone": b"3\nabc\n0\n\n",
        "CR alone in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
        "bad trailer": b"3\r\nabc\r\n0\r\nno colon\r\n\r\n",
    }.items():
        lines = ("POST /echo HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked")
        # Where one server waits for more, the client says that there is none; without that see the time limits.
        is_ended = name in ("huge size", "LF alone")
        request = replace(raw(*lines, body=body), ends_sending=is_ended)
        _raw(found, f"chunked: {name}{', ended' if is_ended else ''}", request)


def _ambiguous(found: CaseList) -> None:
    """Add requests whose end two parsers might see in different places."""
    for name, fields in {
        "Content-Length +3": ("Content-Length: +3",),
        "Content-Length -3": ("Content-Length: -3",),
        "Content-Length 0x3": ("Content-Length: 0x3",),
        "Content-Length 3.0": ("Content-Length: 3.0",),
        "Content-Length 3 3": ("Content-Length: 3 3",),
        "Content-Length 3,3": ("Content-Length: 3,3",),
        "Content-Length empty": ("Content-Length: ",),
        "Content-Length 003": ("Content-Length: 003",),
        "Content-Length beyond 64 bits": ("Content-Length: " + "9" * 30,),
        "Content-Length twice, equal": ("Content-Length: 3", "Content-Length: 3"),
        "Content-Length twice, different": ("Content-Length: 3", "Content-Length: 4"),
        "length and chunked": ("Content-Length: 3", "Transfer-Encoding: chunked"),
        "chunked and length": ("Transfer-Encoding: chunked", "Content-Length: 3"),
        "chunked twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        "gzip, chunked": ("Transfer-Encoding: gzip, chunked",),
        "chunked, gzip": ("Transfer-Encoding: chunked, gzip",),
        "identity": ("Transfer-Encoding: identity", "Content-Length: 3"),
        "Chunked": ("Transfer-Encoding: Chunked",),
        "xchunked": ("Transfer-Encoding: xchunked",),
        "chunked with a tab": ("Transfer-Encoding: \tchunked",),
        "empty coding": ("Transfer-Encoding: ",),
    }.items():
        body = b"3\r\nabc\r\n0\r\n\r\n" if "hunked" in name or "coding" in name else b"abc"
        _raw(found, f"framing: {name}", raw("POST /echo HTTP/1.1", "Host: a", "Connection: close", *fields, body=body))
    _raw(
        found,
        "framing: chunked in HTTP/1.0",
        raw("POST /echo HTTP/1.0", "Host: a", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    )


def _pipelines(found: CaseList) -> None:
    one = "GET {} HTTP/1.1\r\nHost: <<host>>\r\n\r\n"
    last = "GET {} HTTP/1.1\r\nHost: <<host>>\r\nConnection: close\r\n\r\n"
    post = "POST /echo HTTP/1.1\r\nHost: <<host>>\r\nContent-Length: 3\r\n\r\nabc"
    chunked = "POST /echo HTTP/1.1\r\nHost: <<host>>\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for name, text in {
        "two": one.format("/plaintext") + last.format("/json"),
        "ten": one.format("/plaintext") * 9 + last.format("/json"),
        "after 404": one.format("/nowhere") + last.format("/json"),
        "after a body": post + last.format("/json"),
        "after a chunked body": chunked + last.format("/json"),
        "after a body nobody reads": post.replace("/echo", "/nowhere") + last.format("/json"),
        "after a chunked body nobody reads": chunked.replace("/echo", "/nowhere") + last.format("/json"),
        "after a stream": one.format("/stream?rows=3") + last.format("/json"),
        "after a slow one": one.format("/wait?seconds=0.05") + last.format("/json"),
        "after 422": one.format("/accounts/x") + last.format("/json"),
    }.items():
        entry = ENTRY["stream"] if "stream" in name else None
        found.add(f"pipeline: {name}", Request("GET", raw=text.encode()), entry=entry)
    _raw(
        found,
        "pipeline: garbage after a request",
        Request("GET", raw=(one.format("/plaintext") + "garbage\r\n\r\n").encode()),
    )
    _raw(
        found,
        "pipeline: after Connection: close",
        Request("GET", raw=(last.format("/plaintext") + last.format("/json")).encode()),
    )


def _seeds(found: CaseList) -> None:
    """Add requests that must not be given a seed's answer; /sleep takes none, so these compare what is refused."""
    for name, fields in {
        "on an entry without one": seeded(),
        "negative": (("X-Check-Seed", "-1"), *seeded()[1:]),
        "not a number": (("X-Check-Seed", "x"), *seeded()[1:]),
    }.items():
        found.add(f"seed {name}", Request("GET", "/plaintext", fields), expects=200)
