"""The `rig` command: finds the verb, reads its flags, runs it, and says what came of it.

Verbs are frozen dataclasses with a `run` method; only the module of the chosen one is imported, and none of them
imports torch before `run`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence, Set
from typing import Any

from rig import __version__
from rig.cli.fetching import with_fetched
from rig.cli.terminal import harmless, take_any_text
from rig.cli.verbs import GROUPS, RENAMED, VERBS, describe, group_help, is_family, overview, verb_class
from rig.errors import RigError
from rig.machine import refusal, usable_cores
from rig.registry import suggestion

JSON_FLAGS = frozenset({"--json", "--json-last"})
"""Flags of every verb: its result as JSON in place of its text, or behind it."""

_HELP = ("-h", "--help", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; return the exit status: 0, 2 for a user's mistake, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    take_any_text()
    if given[:1] == ["--version"]:
        print(__version__)
        return 0
    if given[:1] == ["--completion"]:
        return _completion(given[1:])
    if not given or given[0] in _HELP:
        return _help([word for word in given[1:] if not word.startswith("-")])
    name, rest = _verb_in(given)
    if name in RENAMED:
        _complain(f"`rig {name}` is called `rig {RENAMED[name]}` now")
        name = RENAMED[name]
    if name in VERBS:
        return _run(name, rest)
    if name in GROUPS and (not rest or rest[0] in _HELP):
        return _help([name])
    return _refuse_verb(given)


def _help(words: Sequence[str]) -> int:
    """Print the help of a verb or of a group, or of the whole command where there are no words; return the status."""
    if not words:
        print(overview())
        return 0
    name, _ = _verb_in(words)
    if name in VERBS:
        return _run(name, ["--help"])
    if name not in GROUPS or len(words) > 1:
        return _refuse_verb(words)
    print(group_help(name))
    return 0


def _completion(words: Sequence[str]) -> int:
    """Print what has a shell complete this command; return the status."""
    from rig.cli.completion import SHELLS, completion

    try:
        print(completion(words[0] if words else ""))
    except RigError as error:
        _complain(f"rig --completion {' | '.join(SHELLS)}: {error}")
        return 2
    return 0


def _verb_in(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the verb that `words` begin with, of two words where there is such a one, and the rest."""
    count = 2 if " ".join(words[:2]) in VERBS else 1
    return " ".join(words[:count]), list(words[count:])


def _refuse_verb(words: Sequence[str]) -> int:
    """Say that there is no such verb, and which may have been meant; return the status."""
    name, *rest = words
    if name not in GROUPS:
        _complain(f"rig: unknown verb {name!r}.{suggestion(name, [*VERBS, *GROUPS])} `rig --help` lists them.")
        return 2
    verbs, wanted = GROUPS[name].verbs, f"{name} {rest[0]}" if is_family(name) else rest[0]
    if rest[0].startswith("-"):
        told = f"{name!r} is a group of verbs; give one of them before {rest[0]!r}."
    elif wanted in verbs:
        told = f"{name!r} is a group of verbs, each of which stands alone: `rig {shlex.join(rest)}`."
    elif rest[0] in VERBS:
        told = f"{rest[0]!r} stands alone: `rig {shlex.join(rest)}`."
    else:
        told = f"unknown verb {wanted!r}.{suggestion(wanted, verbs)}"
    _complain(f"rig: {told} `rig {name}` lists those of {name}.")
    return 2


def _run(name: str, given: Sequence[str]) -> int:
    verb = None
    try:
        verb = with_fetched(read_verb(name, [word for word in given if word not in JSON_FLAGS]))
        _keep_to_quota()
        _show(verb.run(), JSON_FLAGS & set(given))
    except BrokenPipeError:  # whoever reads has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except RigError as error:
        _complain(f"rig {name}: {error}")
        return 2
    except OSError as error:
        told = refusal(error)
        if told is None:
            raise
        _complain(f"rig {name}: {told}")
        return 2
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding():
            raise
        _complain(
            f"rig {name}: files here have names in {error.encoding}, which cannot hold {error.object!r}; "
            "set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
        )
        return 2
    except KeyboardInterrupt:
        _complain(f"\nrig {name}: interrupted{_kept(verb)}")
        return 130
    return 0


def _keep_to_quota() -> None:
    """Have libraries start as many threads as this process has cores: they know its affinity, and no quota."""
    if hasattr(os, "sched_getaffinity") and usable_cores() < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def _kept(verb: Any) -> str:
    """Return what is left of an interrupted verb: it says so itself, by whether it can resume."""
    out = getattr(verb, "out", None) or getattr(verb, "root", None)
    if not hasattr(verb, "resume"):
        return f"; nothing was written to {out}" if out and not os.path.exists(out) else ""
    if out and not os.path.exists(out):
        return f" before anything was finished; there is no {out} yet"
    return "; what is finished is kept. Run it again with --resume."


def _complain(text: str) -> None:
    print(harmless(text), file=sys.stderr)


def read_verb(name: str, given: Sequence[str]) -> Any:
    """Return the verb with its flags filled in; `--help` prints and exits, wrong flags exit with status 2."""
    import tyro

    kind = verb_class(name)
    return tyro.cli(kind, prog=f"rig {name}", args=list(given), description=describe(kind))


def _show(result: dict[str, Any], flags: Set[str]) -> None:
    """Print a verb's text for people, or its result as one line of JSON, or both; nothing where another rank does."""
    if not result:
        return
    text = result.pop("text")
    if "--json" not in flags:
        print(harmless(text), flush=True)
    if flags:
        print(json.dumps(result, default=str), flush=True)  # in ASCII: JSON's escapes are read back, and obeyed by none


if __name__ == "__main__":
    sys.exit(main())
