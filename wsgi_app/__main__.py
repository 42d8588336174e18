"""Run the WSGI edition: python -m wsgi_app."""

import sys

from shared.serving import main

from .concurrency import EDITION
from .server import serve

if __name__ == "__main__":
    sys.exit(main(EDITION, serve))
