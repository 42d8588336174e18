"""A secret that somebody sends, or that the settings hold, is found in nothing that tracing makes."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from shared.config import Edition

from .clients import get
from .clients import once
from .clients import request
from .conftest import ServiceFactory
from .traced import ASK
from .traced import read_trace
from .traced import stages

CANARY = "c4n4ry-Z9"
JSON = ("Content-Type", "application/json")
PLANTED: dict[str, bytes] = {
    "query value": request("GET", f"/queries?queries={CANARY}", [ASK]),
    "query key": request("GET", f"/db?{CANARY}=1", [ASK]),
    "unknown path": request("GET", f"/{CANARY}/x", [ASK]),
    "path parameter": request("GET", f"/accounts/{CANARY}", [ASK]),
    "header": request("GET", "/db", [ASK, ("Authorization", f"Bearer {CANARY}"), ("Cookie", f"sid={CANARY}")]),
    "own header": request("GET", "/json", [ASK, ("X-Api-Key", CANARY), ("User-Agent", CANARY)]),
    "SQL parameter": request(
        "POST", "/accounts", [ASK, JSON], json.dumps({"owner": CANARY, "balance": 1}).encode()
    ),
    "refused body": request("POST", "/accounts", [ASK, JSON], json.dumps({CANARY: CANARY}).encode()),
    "echoed body": request("POST", "/echo", [ASK, ("Content-Type", f"text/{CANARY}")], CANARY.encode()),
    "trailer": request("POST", "/upload", [ASK, ("Transfer-Encoding", "chunked")])
    + f"3;{CANARY}\r\nabc\r\n0\r\nX-Own: {CANARY}\r\n\r\n".encode(),
}  # fmt: skip


def _with_password(url: str) -> str:
    return make_url(url).set(password=CANARY).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def nothing_but_values() -> Sequence[str]:
    """Return the ways a text may be spelled in an output."""
    return [CANARY, CANARY.upper(), CANARY.encode().hex()]


def test_planted_secret_is_in_no_trace(
    start_service: ServiceFactory,
    edition: Edition,
    tmp_path: Path,
    new_database: str,
    nothing_but_values: Sequence[str],
) -> None:
    service = start_service(edition, DATA_DIR=str(tmp_path / "data"), DATABASE_URL=_with_password(new_database))
    found: dict[str, str] = {}
    for place, data in PLANTED.items():
        reply = once(service.port, data)
        assert reply.status, (place, reply.error)
        found[place] = json.dumps(read_trace(service.port, reply.headers["x-trace-id"]))
        assert CANARY not in reply.headers["server-timing"]
    found["list"] = get(service.port, "/traces").body.decode()
    found["log"] = service.log_path.read_text()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) >= len(PLANTED)
    for path in files:
        found[path.name] = path.read_text()
    for place, text in found.items():
        assert not [spelling for spelling in nothing_but_values if spelling in text], place


def test_asked_for_values_are_shown_but_never_credentials(start_service: ServiceFactory, edition: Edition) -> None:
    service = start_service(edition)
    secret = "s3cr3t-Q7"
    reply = once(
        service.port,
        request(
            "POST",
            f"/accounts?note={CANARY}",
            [("X-Trace", "values"), JSON, ("Authorization", f"Bearer {secret}"), ("Cookie", f"sid={secret}")],
            json.dumps({"owner": CANARY, "balance": 1}).encode(),
        ),
    )
    document = read_trace(service.port, reply.headers["x-trace-id"])
    text = json.dumps(document)
    assert secret not in text
    assert (
        f"note={CANARY}"
        in document["stages"][[stage["name"] for stage in document["stages"]].index("receive")]["facts"]["bytes"][
            "text"
        ]
    )
    assert any(CANARY in json.dumps(stage["facts"]) for stage in stages(document, "sql"))


def test_token_is_needed_and_never_shown(start_service: ServiceFactory, edition: Edition, tmp_path: Path) -> None:
    token = "t0k3n-of-the-service"
    service = start_service(edition, TRACE_TOKEN=token, DATA_DIR=str(tmp_path))
    for wrong in ([], [("X-Trace-Token", "wrong")]):
        reply = once(service.port, request("GET", "/json", [ASK, *wrong]))
        assert (reply.status, "x-trace-id" in reply.headers) == (200, False)
        assert once(service.port, request("GET", "/traces", wrong)).status == 403
    right = ("X-Trace-Token", token)
    trace_id = once(service.port, request("GET", "/json", [("X-Trace", "values"), right])).headers["x-trace-id"]
    for _ in range(100):
        reply = once(service.port, request("GET", f"/traces/{trace_id}", [right]))
        if reply.status == 200:
            break
    assert reply.status == 200
    assert token not in reply.body.decode()
    assert "X-Trace-Token: ****" in reply.body.decode()


@pytest.mark.slow
def test_planted_secret_is_in_no_output_of_the_command(
    database_url: str, tmp_path: Path, silent_ports: dict[str, str], nothing_but_values: Sequence[str]
) -> None:
    """Terminal, JSON, Perfetto and the page; what the user typed is a value like any other."""
    words = [
        *("POST", f"/accounts?note={CANARY}", "--body", json.dumps({"owner": CANARY, "balance": 5})),
        *("--header", f"Authorization: Bearer {CANARY}", "--header", f"X-Own: {CANARY}"),
        *("--perfetto", str(tmp_path / "events.json"), "--html", str(tmp_path / "page.html")),
    ]
    environ = {
        "DATABASE_URL": _with_password(database_url),
        "DATA_DIR": str(tmp_path / "data"),
        "PATH": "/usr/bin:/bin",
        # Else it would ask whatever services run on the editions' own ports.
        **silent_ports,
    }
    for extra in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-c", "from shared.cli import main; main()", "trace", *words, *extra],
            capture_output=True, text=True, timeout=120, check=False, env=environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        outputs = {"stdout": done.stdout, "stderr": done.stderr}
        outputs |= {path.name: path.read_text() for path in tmp_path.glob("*.*")}
        for place, text in outputs.items():
            assert text
            assert not [spelling for spelling in nothing_but_values if spelling in text], place
