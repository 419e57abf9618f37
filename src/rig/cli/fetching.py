"""Flags that name what lies on a hub, as `--agent hf:owner/name`: it is fetched before the verb begins."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from rig.hub import PREFIX

_AGENTS = ("agent", "path")
_NETWORKS = ("start", "tokenizers", "vision")
"""An agent, or what else they may be made of."""
_DATASETS = ("data", "source", "describe", "lookahead", "judge")


def with_fetched(verb: Any) -> Any:
    """Return the verb with the folders of what it names on a hub in the place of the names.

    Raises:
        RigError: one of them is not there, or cannot be fetched.
        MissingDependencyError: huggingface_hub is not installed.
    """
    given = {field.name: getattr(verb, field.name) for field in fields(verb)}
    found = {name: _fetched(name, value) for name, value in given.items() if name in (*_AGENTS, *_NETWORKS, *_DATASETS)}
    changed = {name: value for name, value in found.items() if value != given[name]}
    return replace(verb, **changed) if changed else verb


def _fetched(flag: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_fetched(flag, one) for one in value)
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    if flag in _DATASETS:
        from rig.data.hub import dataset_folder

        return str(dataset_folder(value))
    from rig.agents.hub import FILES, agent_folder

    if flag in _AGENTS:
        return str(agent_folder(value))
    from rig.hub import fetched, hub_name

    name = hub_name(value)
    assert name is not None
    return str(fetched(name, FILES))
