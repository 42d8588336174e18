"""Run one command so that nothing of it survives its starter; a script for a process of its own.

Usage: python -I -S supervisor.py CORES COMMAND...; CORES is a comma list of processors, or - for all.

Standard input is a lifeline: the starter keeps the other end open and never writes. When it closes, for whatever
reason, SIGKILL of the starter included, the whole process group dies. A parent-death signal alone would not do: it
fires when the *thread* that started the child ends, and it does not reach grandchildren such as server workers. It is
used here only against the death of this process, which has one thread. SIGTERM and SIGINT are handed on; the exit
code is the command's.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(cores: str, command: list[str]) -> int:
    """Start the command, wait for its end or the starter's, and return the exit code as a shell would."""
    prctl = ctypes.CDLL(None).prctl
    me = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, cores=cores, parent=me, prctl=prctl)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: _hand_on(child, received))
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(sys.stdin.fileno(), select.POLLIN)
    while watched not in dict(poll.poll()):
        if not os.read(sys.stdin.fileno(), 1):
            os.killpg(0, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(command: list[str], *, cores: str, parent: int, prctl: "ctypes._NamedFuncPointer") -> None:
    """Turn this forked child into the command; never returns."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the signal was asked for
            os._exit(1)
        if cores != "-":
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.execvp(command[0], command)
    except BaseException as error:
        os.write(2, f"supervisor: cannot run {command[0]!r}: {error}\n".encode())
    finally:
        os._exit(127)


def _hand_on(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
