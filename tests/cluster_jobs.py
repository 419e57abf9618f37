"""What the tests of a cluster have done there: in a module that imports nothing heavy, for every actor imports it."""

import os
import signal
import time
from contextlib import contextmanager

from rig.errors import UnknownNameError


@contextmanager
def a_list():
    yield []


@contextmanager
def nothing_at_all():
    raise UnknownNameError("there is no such agent")
    yield


def note(state, piece):
    state.append(piece)
    return piece, os.getpid(), len(state)


def stumble(state, piece):
    if piece == 2:
        raise UnknownNameError("two is no name")
    return piece


def fall_once(state, piece):
    """End the process at the first sight of piece 3, as the loss of a machine would."""
    number, mark = piece
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


def fall_always(state, piece):
    if piece == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return piece


def two_of(state, piece):
    yield piece
    yield piece + 100
