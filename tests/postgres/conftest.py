"""Fixtures: directories after which nothing may run, and users in processes of their own."""

import shutil
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.postgres.processes import User
from tests.postgres.processes import processes
from tests.postgres.processes import wait_until


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A fresh directory, after which nothing may run: its users gone, the server stops by itself."""
    path = tmp_path / "data"
    yield path
    wait_until(lambda: not processes(path))
    shutil.rmtree(tmp_path)


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """The same where every user may enter; pytest's own directories are private."""
    path = Path(tempfile.mkdtemp(prefix="wsgi-vs-asgi-test-"))
    path.chmod(0o755)
    yield path
    wait_until(lambda: not processes(path))
    shutil.rmtree(path)


@pytest.fixture
def start_user(data_dir: Path) -> Iterator[Callable[..., User]]:
    with ExitStack() as stack:

        def start(path: Path = data_dir, **options: Any) -> User:
            user = User(path, **options)
            stack.callback(user.close)
            return user

        yield start
