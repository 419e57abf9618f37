"""Servers that are measured: `rig serve` and its like, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rig.errors import RigError


@contextmanager
def serving(verb: str, flags: Mapping[str, object], sign: str) -> Iterator[str]:
    """Run a verb that serves, as long as the block runs; yield its address.

    Args:
        verb: as "serve".
        flags: name -> value.
        sign: what stands before the address in the line that it says when it listens.

    Raises:
        RigError: it does not begin.
    """
    command = [sys.executable, "-m", "rig", verb]
    command += [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        if sign not in line:
            raise RigError(f"`rig {verb}` does not begin: {line.strip() or 'it says nothing'}")
        yield line.partition(sign)[2].split()[0]
    finally:
        process.terminate()
        process.communicate()
