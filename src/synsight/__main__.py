"""`python -m synsight` is the program `synsight`."""

import sys

from synsight.cli import main

if __name__ == "__main__":
    sys.exit(main())
