"""Targets, applications and URLs of other people, read from options: what is refused before anything starts."""

import shlex
import sys
from pathlib import Path

import pytest

from shared.config import Settings
from shared.errors import UsageError
from shared.lab.foreign import applications
from shared.lab.foreign import targets
from shared.lab.foreign.applications import Reference
from shared.lab.foreign.interpreter import Interpreter
from shared.lab.foreign.services import Service
from shared.lab.planning.plan import Scenario
from tests.recorded_compare import run_command


def test_targets_have_a_method_a_path_and_a_json_body() -> None:
    texts = ["/a", "GET /b?c=%20", 'POST /x {"a": 1}', "POST /x [2]", "DELETE /x", "PATCH /x", "/a"]
    assert targets.parse(texts) == (
        Scenario("/a", "/a"),
        Scenario("/b?c=%20", "/b?c=%20"),
        Scenario("POST /x", "/x", "POST", b'{"a": 1}'),
        Scenario("POST /x (2)", "/x", "POST", b"[2]"),
        Scenario("DELETE /x", "/x", "DELETE"),
        Scenario("PATCH /x", "/x", "PATCH"),
    )


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        ([], "no target"),
        ([""], "its method"),
        (["HEAD /x"], "its method"),
        (["get /x"], "its method"),
        (["x"], "its method"),
        (["GET x"], "begins with '/'"),
        (["GET http://h/x"], "begins with '/'"),
        (["GET /\u00fc"], "percent-encoded"),
        (["GET /x {}"], "without a body"),
        (["POST /x {"], "is none"),
        (["GET /" + "x" * 4_000], "4,001 characters"),
        (['POST /x "' + "x" * 65_536 + '"'], "65,538 bytes"),
        ([f"/{number}" for number in range(21)], "too many"),
    ],
)
def test_targets_that_cannot_be_sent_are_refused(texts: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        targets.parse(texts)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_application_is_a_name_or_a_factory() -> None:
    assert Reference.parse("wsgi", "a.b:c.d") == Reference("wsgi", "a.b:c.d", "a.b:c.d", "")
    assert Reference.parse("wsgi", "a:make('x', 2)").call == "('x', 2)"
    assert Reference.parse("asgi", "a:make()") == Reference("asgi", "a:make()", "a:make", "()")


@pytest.mark.parametrize("text", ["", "a", "a:", ":b", "a/b:c", "a b:c", "a:b()()", "-c:x", "a:b;c", "../a:b", "1a:b"])
def test_what_names_no_application_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no application"):
        Reference.parse("wsgi", text)


def test_uvicorn_calls_no_factory_with_arguments() -> None:
    with pytest.raises(UsageError, match="without arguments"):
        Reference.parse("asgi", "a:make(1)")


ALL_OPTIONS = {
    "gunicorn": frozenset(
        {"--bind", "--config", "--workers", "--worker-class", "--threads", "--backlog", "--keep-alive", "--timeout"}
        | {"--graceful-timeout", "--limit-request-line", "--limit-request-fields", "--limit-request-field_size"}
        | {"--http-parser", "--forwarded-allow-ips", "--log-level", "--no-control-socket", "--worker-tmp-dir"}
    ),
    "uvicorn": frozenset(
        {"--host", "--port", "--workers", "--loop", "--http", "--ws", "--lifespan", "--backlog", "--no-proxy-headers"}
        | {"--timeout-keep-alive", "--timeout-graceful-shutdown", "--log-level", "--no-access-log"}
    ),
}
BARE = {"gunicorn": "27.0.1", "uvicorn": "0.54.0"}
FULL = {**BARE, "uvloop": "1", "httptools": "1", "gunicorn_h1c": "1"}
SETTINGS = Settings(wsgi_threads=7, keep_alive=9)


def test_applications_get_the_settings_of_the_editions() -> None:
    found = Interpreter("/env/python", "CPython 3.12", FULL, ALL_OPTIONS)
    wsgi = applications.wsgi_command(Reference.parse("wsgi", "a:make(1)"), found, SETTINGS)
    asgi = applications.asgi_command(Reference.parse("asgi", "a:make()"), found, SETTINGS)
    text = shlex.join(wsgi.argv)
    assert wsgi.argv[:5] == ("/env/python", "-m", "gunicorn", "--bind", "127.0.0.1:{port}")
    assert "--worker-class gthread --threads 7" in text
    assert "--keep-alive 9" in text
    assert "--http-parser fast" in text
    assert wsgi.argv[-1] == "a:make(1)"
    assert "--loop uvloop --http httptools" in shlex.join(asgi.argv)
    assert asgi.argv[-2:] == ("--factory", "a:make")
    assert (wsgi.reservations, asgi.reservations) == ((), ())
    assert wsgi.settings["THREADS"] == "7"
    assert wsgi.settings["PACKAGES"].startswith("gunicorn 27.0.1, gunicorn_h1c 1, ")


def test_what_an_environment_lacks_is_left_out_and_doubted() -> None:
    options = {**ALL_OPTIONS, "gunicorn": ALL_OPTIONS["gunicorn"] - {"--http-parser", "--no-control-socket"}}
    found = Interpreter("/env/python", "CPython 3.12", BARE, options)
    wsgi = applications.wsgi_command(Reference.parse("wsgi", "a:b"), found, SETTINGS)
    asgi = applications.asgi_command(Reference.parse("asgi", "a:b"), found, SETTINGS)
    assert not {"--http-parser", "--no-control-socket"} & {*wsgi.argv}
    bare = applications.wsgi_command(Reference.parse("wsgi", "a:b"), Interpreter("p", "v", BARE, ALL_OPTIONS), SETTINGS)
    assert "--http-parser python" in shlex.join(bare.argv)
    assert "--loop asyncio --http h11" in shlex.join(asgi.argv)
    assert [(known.code, known.subject) for known in (*wsgi.reservations, *asgi.reservations)] == [
        ("older_server", "wsgi"),
        ("python_parser", "wsgi"),
        ("slow_loop", "asgi"),
        ("python_parser", "asgi"),
    ]
    assert asgi.reservations[0].next_step == "/env/python -m pip install --upgrade uvloop"


def test_a_url_of_this_machine_is_a_service() -> None:
    found = Service.of("http://localhost:8001/", may_load=False)
    assert (str(found.address), found.host, found.is_here) == ("127.0.0.1:8001", "localhost:8001", True)
    assert Service.of("http://127.9.9.9:1", may_load=False).host == ""


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://127.0.0.1:1", "plain HTTP/1.1"),
        ("http://10.0.0.1", "is not this machine"),
        ("http://localhost.example.org", "is not this machine"),
        ("http://127.0.0.1.example.org", "is not this machine"),
        ("http://2130706433", "is not this machine"),
        ("http://[::1]:80", "IPv6"),
        ("http://me:pass@127.0.0.1:1", "more than scheme, host and port"),
        ("http://127.0.0.1:1/?x", "more than scheme, host and port"),
        ("http://127.0.0.1:1/x", "is not usable"),
        ("http://127.0.0.1:99999", "is not usable"),
        ("127.0.0.1:1", "is not usable"),
    ],
)
def test_other_urls_are_refused(url: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Service.of(url, may_load=False)
    assert text in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_another_machine_may_be_loaded_by_who_says_so() -> None:
    found = Service.of("http://192.0.2.1:81", may_load=True)
    assert (str(found.address), found.is_here, found.pids()) == ("192.0.2.1:81", False, None)


APPS = "--wsgi a:b --asgi a:b"
URLS = "--a http://127.0.0.1:1 --b http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (f"{APPS}", "no target"),
        ("--target /x", "needs two applications or two services"),
        ("--allow json", "needs two applications or two services"),
        ("--wsgi a:b --target /x", "--wsgi needs --asgi"),
        ("--b http://127.0.0.1:1 --target /x", "--b needs --a"),
        (f"{APPS} {URLS} --target /x", "cannot be compared with each other"),
        (f"{APPS} --target /x --scenario db", "--scenario does not go with --wsgi"),
        (f"{URLS} --target /x --scenario db", "--scenario does not go with --a"),
        (f"{URLS} --target /x --python python3", "--python does not go with --a"),
        (f"{URLS} --target /x --app-dir .", "--app-dir does not go with --a"),
        (f"{APPS} --target /x --i-may-load-this-host", "--i-may-load-this-host does not go with --wsgi"),
        (f"{APPS} --target /x --app-dir /nowhere", "is no directory"),
        (f"{APPS} --target /x --python /nowhere", "there is no such program"),
        (f"{APPS} --target /x --python /", "is a directory"),
        (f"{APPS} --target /x --fail-if a:/x:rps<1", "a"),
        (f"{APPS} --target /x --rounds 1", "--rounds"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_starts(
    words: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "compare", *words.split()) == 2
    printed = capsys.readouterr()
    assert text in printed.err
    assert (printed.out, "Traceback" in printed.err, "starting" in printed.err) == ("", False, False)


def test_a_dry_run_prints_the_targets_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*URLS.split(), "--target", "/x", "--target", "POST /y", "--fail-if", "b_over_a:POST /y:rps<1", "--dry-run"]
    assert run_command(monkeypatch, "compare", *words) == 0
    printed = capsys.readouterr().out
    assert "POST /y" in printed
    assert "A: a, B: b." in printed


def test_a_url_where_nobody_listens_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "compare", *URLS.split(), "--target", "/x") == 3
    assert "Nobody answers under http://127.0.0.1:1" in capsys.readouterr().err


def test_an_environment_without_servers_is_refused_with_an_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The interpreter of this project without its environment: the standard library and nothing else."""
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    words = [*APPS.split(), "--target", "/x", "--python", str(bare)]
    assert run_command(monkeypatch, "compare", *words) == 3
    printed = capsys.readouterr().err
    assert "gunicorn and uvicorn cannot be imported" in printed
    assert f"{bare} -m pip install --upgrade gunicorn uvicorn uvloop httptools gunicorn_h1c" in printed
