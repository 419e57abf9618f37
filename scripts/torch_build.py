"""Prints what pip is to be told so that PyTorch comes without CUDA where there is no GPU, and says what will be loaded.

    pip install $(python scripts/torch_build.py) --editable .          with the environment's own Python

On Linux on x86-64, PyPI's PyTorch brings gigabytes of CUDA libraries; its CPU build has an index of its own. Elsewhere
there is nothing to choose. `TORCH=cpu` or `TORCH=cuda` in the environment decides in place of a look at the machine.
Nothing is printed, and pip's own settings decide, where PyTorch is installed already, where the user has told pip where
to look, and where that index does not answer within seconds. What is said goes to standard error.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.request import Request, urlopen

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ANSWERS_WITHIN = 3.0
"""Seconds."""
CHOICES = ("cpu", "cuda")
WHERE = ("index-url", "extra-index-url", "no-index", "find-links")
"""Settings of pip that say where it looks; whoever sets one knows better than this."""
SIZES = {"cpu": "about 0.4 GB to download, 1.4 GB on disk", "cuda": "about 3 GB to download, most of it CUDA"}


def main() -> int:
    """Print pip's arguments, if any; return the exit status."""
    if find_spec("torch"):
        return 0
    wanted = os.environ.get("TORCH") or ("cuda" if has_gpu() else "cpu")
    if wanted not in CHOICES:
        print(f"TORCH={wanted}: one of {', '.join(CHOICES)}, or leave it out", file=sys.stderr)
        return 2
    arguments, told = choose(wanted)
    print(f"{told}; all of it goes into {sys.prefix}", file=sys.stderr)
    print(*arguments)
    return 0


def choose(wanted: str) -> tuple[list[str], str]:
    """Return pip's arguments for a build of PyTorch, and what is to be said of it."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return [], f"PyTorch as PyPI has it for this machine: {SIZES['cpu']}"
    if wanted == "cuda":
        return [], f"PyTorch with CUDA: {SIZES['cuda']} (TORCH=cpu takes its CPU build)"
    if own := own_settings(os.environ):
        return [], f"PyTorch from where pip's setting {own} leads: {SIZES['cpu']} if that has its CPU build"
    if not answers(CPU_INDEX):
        return [], f"{CPU_INDEX} does not answer, so PyTorch as PyPI has it: {SIZES['cuda']}"
    why = "as TORCH=cpu says" if os.environ.get("TORCH") else "there is no GPU; TORCH=cuda takes the other"
    return ["--extra-index-url", CPU_INDEX], f"PyTorch's CPU build ({why}): {SIZES['cpu']}"


def has_gpu() -> bool:
    """Return whether NVIDIA's driver shows a GPU."""
    if Path("/dev/nvidia0").exists():
        return True
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def own_settings(environment: Mapping[str, str]) -> str:
    """Return the name of a setting by which the user has told pip where to look, "" where there is none."""
    for name in WHERE:
        if environment.get(variable := "PIP_" + name.upper().replace("-", "_")):
            return variable
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False).stdout
    names = [line.partition("=")[0] for line in listed.splitlines()]
    return next((name for name in names if name.rpartition(".")[2] in WHERE), "")


def answers(address: str) -> bool:
    """Return whether something answers at `address` in time."""
    try:
        with urlopen(Request(address + "/", method="HEAD"), timeout=ANSWERS_WITHIN):
            return True
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
