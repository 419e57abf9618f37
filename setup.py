"""Puts the Crafter agent into what is built of the package, so that `rig demo` needs no checkout: see `rig.shipped`.

The rest is in pyproject.toml. An editable installation finds the agents where they are.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

AGENTS = ("rig-crafter-small",)
ROOT = Path(__file__).resolve().parent


class BuildWithAgents(build_py):
    """Copies the agents beside the modules."""

    def run(self) -> None:
        """Build."""
        super().run()
        for agent in () if self.editable_mode else AGENTS:
            target = Path(self.build_lib) / "rig" / "checkpoints" / agent
            shutil.copytree(ROOT / "checkpoints" / agent, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithAgents})
