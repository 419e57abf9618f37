"""Shell completion of the whole command: `rig --completion bash`, zsh or tcsh, as tyro writes it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import make_dataclass
from typing import Annotated, Any, Union

from rig.cli.verbs import GROUPS, VERBS, is_family, verb_class
from rig.registry import unknown_name

SHELLS = ("bash", "tcsh", "zsh")


def completion(shell: str) -> str:
    """Return the script that completes `rig`, its verbs and their flags in a shell.

    Raises:
        UnknownNameError: tyro knows no such shell.
    """
    import tyro

    if shell not in SHELLS:
        raise unknown_name("shell", shell, SHELLS)
    families = [name for name in GROUPS if is_family(name)]
    verbs = {verb: (verb_class(verb), line) for verb, (_, line) in VERBS.items() if " " not in verb}
    verbs |= {name: (_family(name), GROUPS[name].line) for name in families}
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        tyro.cli(
            _one_of(verbs),
            prog="rig",
            args=["--tyro-print-completion", shell],
            config=(tyro.conf.OmitArgPrefixes,),
        )
    return text.getvalue()


def _family(name: str) -> type:
    """Return a class whose one field is any of the verbs of two words that begin with `name`."""
    verbs = {verb.partition(" ")[2]: (verb_class(verb), line) for verb, (_, line) in GROUPS[name].verbs.items()}
    return make_dataclass(name.capitalize(), [("what", _one_of(verbs))])


def _one_of(verbs: Mapping[str, tuple[type, str]]) -> Any:
    """Return the type of any of `verbs`, each a subcommand of its name with its line of help."""
    import tyro

    kinds = [
        Annotated[kind, tyro.conf.subcommand(name, description=line, prefix_name=False)]
        for name, (kind, line) in verbs.items()
    ]
    return Union[tuple(kinds)]  # noqa: UP007  # made at run time
