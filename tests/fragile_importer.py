"""An importer that dies of a recording; on its own, for every process that reads with it imports this module."""

import os
import signal

from rig.data.importers.open_folder import OpenFolderImporter


class Fragile(OpenFolderImporter):
    """Dies of one recording, as a decoder does that meets what it was not made for."""

    def read(self, recording, report, skipped):
        if recording.id.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(recording, report, skipped)
