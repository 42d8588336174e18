"""Run this edition: python -m and the name of the package."""

import sys

from shared.serving import main

from .concurrency import EDITION
from .server import serve

if __name__ == "__main__":
    sys.exit(main(EDITION, serve))
