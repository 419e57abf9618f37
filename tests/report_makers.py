"""Scores as evaluations leave them, and the tables of the pages that are written of them."""

import json

from rig.annotators import CHECKERS
from rig.envs.rollout import Episode, Played
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.saved import EPISODES, SUMMARY
from rig.evaluate.scores import summarise, summary_row
from rig.records import Cost


def table_rows(lines):
    """The cells of every line of every Markdown table."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def keep_scores(folder, trajectories):
    """Write `trajectories` as an evaluation would have."""
    rows = []
    for trajectory in trajectories:
        episode = Episode(task=trajectory.task, setting=trajectory.setting, seed=trajectory.seed)
        cost = Cost(read_tokens=90, text_tokens=30, seconds=0.1)
        rows.append(summary_row(Played(episode=episode, trajectory=trajectory, cost=cost), CHECKERS.get("crafter")()))
    folder.mkdir(parents=True)
    (folder / EPISODES).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / SUMMARY).write_text(json.dumps(summarise(rows, EmbodiedConfig(agent=""))))
