"""The errors a user can cause: each names the value, the place and the fix."""

import math


class RigError(ValueError):
    """A mistake in input, configuration or data that the user can mend."""


class UnknownNameError(RigError):
    """A name that no registry, preset or action space knows."""


class ActionError(RigError):
    """Text that is not an action of the space, or an action the space does not have."""


class DialogueError(RigError):
    """A conversation that does not follow the prompt format."""


class DatasetError(RigError):
    """A dataset on disk that is malformed, truncated or not the one expected."""


class CheckpointError(RigError):
    """A checkpoint that is missing, truncated or of another shape."""


class MissingDependencyError(RigError):
    """An optional dependency that is not installed; the message holds the command that installs it."""


class AnnotationError(RigError):
    """Questions to an annotator that were not answered, or answers that are none."""


class SimulatorError(RigError):
    """A world's engine that did not start, ended, or stood still."""


class ServiceError(RigError):
    """A server of decisions that cannot be reached, refuses, or does not answer as it should."""


def at_least_one(**given: int | None) -> None:
    """Refuse numbers below 1, by their names; None is none.

    Raises:
        RigError: one of them is below 1.
    """
    low = [f"{name}={value}" for name, value in given.items() if value is not None and value < 1]
    if low:
        raise RigError(f"{', '.join(low)}: at least 1")


def within(least: float, most: float = math.inf, *, above: bool = False, **given: float) -> None:
    """Refuse numbers outside `least` to `most`, by their names, and what is not finite; `above`: `least` itself too.

    Raises:
        RigError: one of them is.
    """
    for name, value in given.items():
        if not math.isfinite(value) or not least <= value <= most or (above and value == least):
            bounds = f"{'above' if above else 'at least'} {least:g}" + (
                f", at most {most:g}" if most < math.inf else ""
            )
            raise RigError(f"{name}={value}: a finite number, {bounds}")
