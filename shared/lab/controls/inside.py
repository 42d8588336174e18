"""A program with an edition's own modules, in a process of its own; its result is the last line, as JSON.

python -m shared.lab.controls.inside wsgi|asgi PROGRAM '{"argument": 1}'

PROGRAM is a module of `shared.lab.controls.programs` with two functions: `wsgi(**arguments)`, and the coroutine
function `asgi(**arguments)`, which runs on uvloop as the edition does.
"""

import importlib
import json
import sys

import uvloop


def main(edition: str, program: str, arguments: str) -> None:
    """Run a program and print what it returns."""
    module = importlib.import_module(f"shared.lab.controls.programs.{program}")
    keywords = json.loads(arguments)
    found = module.wsgi(**keywords) if edition == "wsgi" else uvloop.run(module.asgi(**keywords))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:4])
