"""What every view of the page is: something that is told, and goes on by itself where it has something to do."""

from __future__ import annotations

from typing import Protocol

from rig.client.messages import png
from rig.errors import RigError
from rig.model.fit import unfit_frame
from rig.playground.messages import Said
from rig.records import Frame


class ViewState(Protocol):
    """A view, as its session has it."""

    def show(self) -> None:
        """Tell the page all of it: it has just come, or come back, or another episode has begun."""
        ...

    def hide(self) -> None:
        """Stand still: another view is looked at."""
        ...

    def handle(self, told: Said) -> None:
        """Do what the page says.

        Raises:
            RigError: that cannot be done now.
        """
        ...

    def wait(self) -> float | None:
        """Return the seconds until `go_on` is to be called; None until something is said."""
        ...

    def go_on(self) -> None:
        """Do the next piece of what is going on."""
        ...

    def close(self) -> None:
        """Keep what is to be kept: the page has gone."""
        ...


def picture(frame: Frame, like: Frame | None = None) -> bytes:
    """Return a frame as a page takes it, a PNG; a dream of a frame that is no square in the shape of that."""
    is_square = like is None or like.shape[0] == like.shape[1]
    return png(frame if is_square or like is None else unfit_frame(frame, *like.shape[:2]))


def refuse(told: Said, view: str) -> RigError:
    """Return the refusal of a message that is none of a view's."""
    return RigError(f"{told.__struct_config__.tag!r} is nothing that can be said to the view {view!r}")
