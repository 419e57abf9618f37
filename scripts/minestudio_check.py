"""Has the minestudio package read what we write, write what we read, and run beneath our world; all of it is compared.

    sh scripts/minestudio.sh PYTHON VERSION          which is what `make minestudio` runs

* `minestudio_recordings`: its LMDB reader reads what our tests write, and we import what its converters write, on Ray,
  of recordings as VPT's contractors made them; those it and our importer read alike but for what is listed there.
* `minestudio_actions`: names of keys, VPT's 8,641 combinations of buttons and 121 turns, its bins of the camera.
* `minestudio_world`: the package itself plays, its simulator, callbacks, environment and all, with the socket to
  Minecraft leading to a game of our own (`minestudio_game`): our world's tasks, start commands, keys, frames and facts
  at both ends; its rewards against our samples; its task files; a VPT of its own, with random weights, as our teacher.

What cannot be here: Minecraft, which is a download and wants Java; whatever its code does with weights that would be
downloaded (STEVE-1 and its text, of which the names of arguments are compared); its events (`event_convertion` imports
a debugger); its trainer. What it imports for these is stood in for (`minestudio_package`), as is what newer releases of
numpy and PyAV no longer have. Its ActionConvertCallback cannot be constructed, and is filled in by hand.

The last line is the counts of what was compared, as JSON; whatever differs ends it with an AssertionError.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from minestudio_package import prepare


def main() -> int:
    """Compare everything; return the exit status."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        root = Path(folder)
        os.environ |= {"MINESTUDIO_DIR": str(root / "studio"), "HF_HUB_OFFLINE": "1"}
        prepare()
        import minestudio_actions
        import minestudio_recordings
        import minestudio_world

        found = {
            "actions": minestudio_actions.compare(),
            "world": minestudio_world.compare(root / "world"),
            "recordings": minestudio_recordings.compare(root / "recordings"),
        }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
