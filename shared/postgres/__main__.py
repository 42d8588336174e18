"""The keeper's command: `python -m shared.postgres keep <data_dir>`, started by `acquire`."""

import sys
from pathlib import Path

from shared.postgres.keeper import keep

if __name__ == "__main__":
    keep(Path(sys.argv[2]))
