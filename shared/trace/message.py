"""HTTP/1.1 messages as they crossed the socket, masked byte by byte: head, framing and body are told apart here.

What cannot be read as a message is masked as a whole; so is what follows it, which belongs to another request.
"""

import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from .recorder import Octets

# Takes bytes of a body and returns as many, what must not be seen replaced by asterisks.
Masker = Callable[[bytes], bytes]
# Takes the name of a header field, in lower case, and its value; returns the value as it may be shown.
FieldMasker = Callable[[str, str], str]
TargetMasker = Callable[[str], str]

# RFC 9110, section 5.6.2.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([\x21-\x7e\x80-\xff]+) (HTTP/[0-9]\.[0-9])")
_STATUS_LINE = re.compile(r"HTTP/[0-9]\.[0-9] ([1-5][0-9]{2})(?: [\x20-\x7e]*)?")
_FIELD = re.compile(rf"({_TOKEN})(:[ \t]*)([\t\x20-\x7e\x80-\xff]*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})([^\r\n]*)\r\n")
_END_OF_HEAD = b"\r\n\r\n"

# A text with its quotes, or whatever else is neither punctuation nor a space.
_JSON_TOKEN = re.compile(rb'"((?:[^"\\]++|\\.?)*+)("?)|[^][{}:," \t\r\n]+', re.DOTALL)
# The members that say which problem it is stand first; nothing in them is the client's.
_PROBLEM = re.compile(rb'\{"type":"[^"\\]*","title":"[^"\\]*","status":[0-9]{3}(?=[,}])')


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a message.

    Attributes:
        text: As it may be shown.
        fields: Values by name in lower case; repeated ones joined by commas.
        status: Of an answer; 0 for a request.
    """

    text: str
    fields: Mapping[str, str]
    status: int = 0


def show(body: bytes) -> bytes:
    """Return a body as it is."""
    return body


def hide(body: bytes) -> bytes:
    """Return nothing of a body but its size."""
    return b"*" * len(body)


def json_only(body: bytes) -> bytes:
    """Return the punctuation and the spaces of a JSON body."""
    return _JSON_TOKEN.sub(_hidden_token, body)


def problem_only(body: bytes) -> bytes:
    """Return type, title and status of a problem document, and the punctuation of the rest."""
    found = _PROBLEM.match(body)
    return json_only(body) if found is None else found[0] + json_only(body[found.end() :])


def _hidden_token(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return hide(found[0])
    return b'"' + hide(found[1]) + found[2]


def request_head(text: str, *, target: TargetMasker, field: FieldMasker) -> Head | None:
    """Return the head of a request; None if it cannot be read as one."""
    line, _, rest = text.partition("\r\n")
    found = _REQUEST_LINE.fullmatch(line)
    fields = _fields(rest, field)
    if found is None or fields is None:
        return None
    return Head(f"{found[1]} {target(found[2])} {found[3]}\r\n{fields[0]}", fields[1])


def answer_head(text: str, *, field: FieldMasker) -> Head | None:
    """Return the head of an answer; None if it cannot be read as one."""
    line, _, rest = text.partition("\r\n")
    found = _STATUS_LINE.fullmatch(line)
    fields = _fields(rest, field)
    if found is None or fields is None:
        return None
    return Head(f"{line}\r\n{fields[0]}", fields[1], int(found[1]))


def _fields(text: str, mask: FieldMasker) -> tuple[str, dict[str, str]] | None:
    """Return header fields as they may be shown, up to the empty line, and by name; None if a line is no field."""
    shown: list[str] = []
    by_name: dict[str, str] = {}
    for line in text.removesuffix("\r\n\r\n").removesuffix("\r\n").split("\r\n") if text != "\r\n" else ():
        found = _FIELD.fullmatch(line)
        if found is None:
            return None
        name = found[1].lower()
        shown.append(found[1] + found[2] + mask(name, found[3]) + "\r\n")
        by_name[name] = f"{by_name[name]}, {found[3]}" if name in by_name else found[3].strip(" \t")
    return "".join(shown) + "\r\n", by_name


def redacted(
    pieces: Sequence[Octets],
    read_head: Callable[[str], Head | None],
    masker: Callable[[Head], Masker],
    trailer: FieldMasker | None = None,
) -> list[str]:
    """Return the bytes of one message, as many pieces of text as there were of bytes, each as long as before.

    Args:
        pieces: Bytes in the order in which they crossed the socket.
        read_head: Returns a head, masked, or None for what is none.
        masker: Returns what masks the body behind a head.
        trailer: Masks the fields behind a chunked body; None: they are hidden, and so are the extensions of chunks.
    """
    # Behind the first piece that was not kept whole, nobody knows where in the message one is.
    whole = next((place + 1 for place, piece in enumerate(pieces) if piece.size > len(piece.data)), len(pieces))
    data = b"".join(piece.data for piece in pieces[:whole])
    text = _redacted(data, read_head, masker, trailer).decode("latin-1")
    found = []
    start = 0
    for place, piece in enumerate(pieces):
        end = start + len(piece.data)
        found.append(text[start:end] if place < whole else "*" * len(piece.data))
        start = end
    return found


def _redacted(
    data: bytes,
    read_head: Callable[[str], Head | None],
    masker: Callable[[Head], Masker],
    trailer: FieldMasker | None,
) -> bytes:
    # RFC 9112, section 2.2: empty lines before a request are skipped.
    start = len(data) - len(data.lstrip(b"\r\n"))
    shown = data[:start]
    while True:
        end = data.find(_END_OF_HEAD, start) + len(_END_OF_HEAD)
        head = None if end < len(_END_OF_HEAD) else read_head(data[start:end].decode("latin-1"))
        if head is None:
            return shown + hide(data[start:])
        shown += head.text.encode("latin-1")
        if not 100 <= head.status < 200:
            return shown + _body(data[end:], head, masker(head), trailer)
        # An interim answer, as 100 Continue is; another head follows.
        start = end


def _body(data: bytes, head: Head, mask: Masker, trailer: FieldMasker | None) -> bytes:
    """Return what follows a head: its body masked by what is given, framing as it is, the rest hidden."""
    if "chunked" in head.fields.get("transfer-encoding", "").lower():
        return _chunked(data, mask, trailer)
    length = head.fields.get("content-length")
    if length is None:
        # An answer without a length ends with its connection; a request without one has no body.
        size = len(data) if head.status else 0
    else:
        size = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
    return mask(data[:size]) + hide(data[size:])


def _chunked(data: bytes, mask: Masker, trailer: FieldMasker | None) -> bytes:
    shown = bytearray(hide(data))
    spans: list[tuple[int, int]] = []
    start = 0
    while found := _CHUNK_SIZE.match(data, start):
        shown[start : found.end(1)] = found[1]
        if trailer is not None:
            shown[found.start(2) : found.end(2)] = found[2]
        shown[found.end() - 2 : found.end()] = b"\r\n"
        start, end = found.end(), found.end() + int(found[1], 16)
        if start == end:
            _show_trailers(shown, data, start, trailer)
            break
        spans.append((start, min(end, len(data))))
        if data[end : end + 2] != b"\r\n":
            break
        shown[end : end + 2] = b"\r\n"
        start = end + 2
    payload = mask(b"".join(data[first:last] for first, last in spans))
    for first, last in spans:
        shown[first:last], payload = payload[: last - first], payload[last - first :]
    return bytes(shown)


def _show_trailers(shown: bytearray, data: bytes, start: int, mask: FieldMasker | None) -> None:
    """Show what stands behind the last chunk: the empty line that ends most messages, or fields and that line."""
    if data[start : start + 2] == b"\r\n":
        shown[start : start + 2] = b"\r\n"
        return
    end = data.find(_END_OF_HEAD, start) + len(_END_OF_HEAD)
    if mask is not None and end >= len(_END_OF_HEAD):
        fields = _fields(data[start:end].decode("latin-1"), mask)
        if fields is not None:
            shown[start:end] = fields[0].encode("latin-1")
