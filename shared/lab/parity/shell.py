"""A request as the shell command that repeats it: curl where curl can write it, printf into nc where it cannot."""

import re
import shlex

from shared.lab.parity.message import Request
from shared.lab.parity.transport import Address

# What curl passes on unchanged; anything else it would refuse, encode or cut.
_CURL_TARGET = re.compile(r"/[A-Za-z0-9\-._~:/?@!$&'()*+,;=%|^]*")
_CURL_METHOD = re.compile(r"[A-Z]+")
_CURL_HEADER = re.compile(r"[\x20-\x7e\xa0-\xff]+")
# A head beyond this is no argument for a command line.
LONG_HEAD_BYTES = 8_192
_RUN = re.compile(rb"(.)\1{255,}", re.DOTALL)

TOKEN_VARIABLE = "$CHECK_TOKEN"


def command(address: Address, request: Request, token: str | None) -> str:
    """Return a command that sends the request; the token is read from the environment, never written out."""
    return _curl(address, request, token) if _is_for_curl(request) else _netcat(address, request, token)


def _is_for_curl(request: Request) -> bool:
    if len(request.raw or request.head("")) > LONG_HEAD_BYTES:
        return False
    if request.raw or request.host or request.version not in ("1.1", "1.0") or request.awaits_continue:
        return False
    names = [name.lower() for name, _ in request.headers]
    if set(names) & {"content-length", "transfer-encoding", "host", "expect", "connection"}:
        return False
    return (
        _CURL_TARGET.fullmatch(request.target) is not None
        # curl drops a question mark that nothing follows.
        and not request.target.endswith("?")
        and _CURL_METHOD.fullmatch(request.method) is not None
        # A field without a value has a spelling of its own in curl, and spaces at its ends are lost.
        and all(_CURL_HEADER.fullmatch(value) and value == value.strip() for _, value in request.headers)
        and not (request.chunks is not None and len(set(map(len, request.chunks))) > 1)
    )


def _curl(address: Address, request: Request, token: str | None) -> str:
    words = ["curl", "-s", "-i", "--path-as-is", "--globoff"]
    if request.version == "1.0":
        words.append("--http1.0")
    words += ["--head"] if request.method == "HEAD" else ["-X", request.method]
    for name, value in (*request.headers, ("Connection", "close")):
        words += ["-H", _quoted(f"{name}: {value}", token)]
    body = b"".join(request.chunks) if request.chunks is not None else request.body
    source = ""
    if body is not None:
        # What curl adds by itself is switched off.
        words += ["-H", "'Expect:'"]
        if request.header("Content-Type") is None:
            words += ["-H", "'Content-Type:'"]
        if request.chunks is not None:
            words += ["-H", "'Transfer-Encoding: chunked'"]
        source = f"{_producer(body)} | "
        words += ["--data-binary", "@-"]
    words.append(shlex.quote(f"http://{address}{request.target}"))
    return source + " ".join(words)


def _netcat(address: Address, request: Request, token: str | None) -> str:
    return f"{_producer(request.wire(str(address)), token)} | nc {address.host} {address.port}"


def _producer(data: bytes, token: str | None = None) -> str:
    """Return a command that prints the bytes; long runs of one byte are not written out."""
    commands = []
    at = 0
    for run in _RUN.finditer(data):
        if run.start() > at:
            commands.append(_printf(data[at : run.start()], token))
        # tr takes the byte in octal, whatever it is to a shell.
        commands.append(f"head -c {len(run[0])} /dev/zero | tr '\\0' '\\{run[0][0]:03o}'")
        at = run.end()
    if at < len(data) or not data:
        commands.append(_printf(data[at:], token))
    return commands[0] if len(commands) == 1 else "{ " + "; ".join(commands) + "; }"


def _printf(data: bytes, token: str | None) -> str:
    parts = [_escaped(part) for part in (data.split(token.encode()) if token else [data])]
    # The token is an argument, so that a percent sign in it stands for itself.
    return f"printf '{'%s'.join(parts)}'" + f' "{TOKEN_VARIABLE}"' * (len(parts) - 1)


def _escaped(data: bytes) -> str:
    """Return bytes as a format of printf inside single quotes."""
    named = {13: "\\r", 10: "\\n", 37: "%%", 92: "\\\\"}
    return "".join(
        named.get(byte) or (chr(byte) if 32 <= byte < 127 and byte != 39 else f"\\{byte:03o}") for byte in data
    )


def _quoted(text: str, token: str | None) -> str:
    """Return a header field as one word of a POSIX shell."""
    if token and token in text:
        return '"' + text.replace(token, TOKEN_VARIABLE) + '"'
    if text.isascii():
        return shlex.quote(text)
    return f"\"$(printf '{_escaped(text.encode('latin-1'))}')\""
