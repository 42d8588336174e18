"""Who runs the embedded server and who may share it: forked children, root, ordinary users."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from shared import postgres
from tests.postgres.processes import BOUND_S
from tests.postgres.processes import ROOT
from tests.postgres.processes import User
from tests.postgres.processes import postmaster
from tests.postgres.processes import processes
from tests.postgres.processes import query

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_forked_child_does_not_drop_its_parents_lease(data_dir: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from shared import postgres
lease = postgres.acquire(Path(sys.argv[1]))
if os.fork() == 0:
    lease.release()
    os._exit(0)
os.wait()
print(postgres.running_url(Path(sys.argv[1])) == lease.url)
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
lease.release()
print(postgres.running_url(Path(sys.argv[1])) == lease.url)
os.close(writing)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(data_dir)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # The server runs on both times: the parent uses it, and then the second child, which only inherited the lease.
    assert done.stdout.split() == ["True", "True"]


@NEEDS_ROOT
def test_root_runs_the_server_as_nobody_below_a_private_directory(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    with postgres.acquire(data_dir) as lease:
        assert query(lease.url, "SELECT 1") == (1,)
        assert postmaster(data_dir).username() == "nobody"
    assert data_dir.stat().st_mode & 0o777 == 0o700


@NEEDS_ROOT
def test_root_runs_the_server_as_nobody_below_a_public_directory(public_dir: Path) -> None:
    with postgres.acquire(public_dir) as lease:
        assert query(lease.url, "SELECT 1") == (1,)
        assert postmaster(public_dir).username() == "nobody"
    assert processes(public_dir) == []


@pytest.mark.slow
@NEEDS_ROOT
def test_ordinary_user_starts_a_server_but_not_roots(public_dir: Path, start_user: Callable[..., User]) -> None:
    path, account = public_dir, pwd.getpwnam("daemon")
    os.chown(path, account.pw_uid, account.pw_gid)
    packages = Path(psycopg2.__file__).parents[1]
    options: dict[str, Any] = {
        "user": account.pw_uid,
        "group": account.pw_gid,
        "extra_groups": [],
        "executable": python_for(account.pw_uid),
        "env": {"PATH": os.defpath, "PYTHONPATH": f"{ROOT}:{packages}"},
        "cwd": "/",
    }
    user = start_user(path, **options)
    url = user.url()
    assert postmaster(path).uids().real == account.pw_uid
    with postgres.acquire(path) as roots:
        assert roots.url == url
    assert user.end() == 0
    assert processes(path) == []
    # Root's restart runs as the owner of the files, who can use them afterwards.
    with postgres.acquire(path):
        assert postmaster(path).uids().real == account.pw_uid
    again = start_user(path, **options)
    assert again.url() == url
    assert again.end() == 0
    postgres.destroy(path)
    os.chown(path, 0, 0)
    postgres.acquire(path).release()
    refused = start_user(path, **options, stderr=subprocess.PIPE)
    _, said = refused.process.communicate(timeout=BOUND_S)
    assert "EnvironmentFailure: the embedded PostgreSQL belongs to another user" in said
    assert "is owned by root (uid 0)" in said


def python_for(uid: int) -> str:
    """Return an interpreter that the user may run; the one of the virtual environment may lie in a private home."""
    for path in (
        sys.executable,
        "/usr/bin/python3.11",
        "/usr/bin/python3.12",
        "/usr/bin/python3.13",
        "/usr/bin/python3",
    ):
        with suppress(OSError):
            check = "import sys; sys.exit(sys.version_info < (3, 11))"
            if subprocess.run([path, "-c", check], user=uid, cwd="/", capture_output=True).returncode == 0:
                return path
    pytest.skip("no Python that another user may run")
