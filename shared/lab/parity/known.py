"""Where the two servers differ before either application is asked: case by case, with the reason.

Only requests that HTTP forbids, or that one of the parsers refuses by its own rules. A case that is listed here and
does not differ any more is reported, so the list cannot outlive its reasons.
"""

_METHODS = (
    "llhttp (under uvicorn) knows a fixed list of methods and refuses the bytes of any other; gunicorn's parser takes "
    "any token, so the application answers 405"
)
KNOWN: dict[str, str] = {
    "authority form": (
        "CONNECT is for proxies: uvicorn cannot read its target (400), gunicorn takes it for a path that nobody serves "
        "(404)"
    ),
    "line: unknown method": _METHODS,
    "line: method with odd characters": _METHODS,
    "fields: folded value": (
        "RFC 9112, section 5.2, lets a server refuse a folded line (llhttp does) or join it (gunicorn's parser does)"
    ),
    "fields: LF alone": (
        "RFC 9112, section 2.2, lets a server take a bare LF for a line's end (gunicorn's parser does) or not (llhttp)"
    ),
    "chunked: LF alone": (
        "In a chunked body llhttp refuses a bare LF at once, gunicorn goes on waiting for CRLF until the client ends"
    ),
    "chunked: huge size": (
        "a chunk size beyond 64 bits is refused by llhttp at once; gunicorn waits for the bytes until the client ends"
    ),
    "framing: Content-Length beyond 64 bits": (
        "llhttp refuses the number (400); gunicorn reads it, and the application finds the body too large (413)"
    ),
}
