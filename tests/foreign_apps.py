"""Applications that know nothing of this project, as files: plain WSGI and ASGI, written when a test needs them."""

import os
import subprocess
import sys
from pathlib import Path

from shared.twins import ROOT

PLAIN = """
import itertools
import json

counters = {"wsgi": itertools.count(), "asgi": itertools.count(50)}


def answer(side, method, path, body):
    if path == "/count":
        value = {"n": next(counters[side]), "path": path}
    elif path == "/unlike":
        value = {"side": side}
    else:
        value = {"method": method, "path": path, "body": body.decode()}
    return json.dumps(value).encode()


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    text = answer("wsgi", environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
    start_response("200 Fine", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


def make_wsgi(prefix):
    return wsgi if prefix == "/" else None


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    text = answer("asgi", scope["method"], scope["path"], body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def make_asgi():
    return asgi
"""


def write_plain(directory: Path) -> Path:
    """Write the plain applications as the module `plain`, beside a configuration that would break gunicorn."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plain.py").write_text(PLAIN, encoding="utf-8")
    # gunicorn reads this from its working directory unless it is told otherwise.
    (directory / "gunicorn.conf.py").write_text("workers = 3\nraise SystemExit('it was read')\n", encoding="utf-8")
    return directory


def run_cli(directory: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the console script in a directory of the test's own and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", "from shared.cli import main; main()", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
