"""Run the ASGI edition: python -m asgi_app."""

import sys

from shared.serving import main

from .concurrency import EDITION
from .server import serve

if __name__ == "__main__":
    sys.exit(main(EDITION, serve))
