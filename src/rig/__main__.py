"""`python -m rig`: the `rig` command."""

import sys

from rig.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
