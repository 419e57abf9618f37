"""Results as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rig.actions import ACTION_SPACES
from rig.dialogue import review_of_plans
from rig.evaluate.measures import shown, taken
from rig.evaluate.stats import interval
from rig.records import Trajectory


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows in aligned columns under a header."""
    cells = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def scores_text(summary: Mapping[str, Any]) -> str:
    """Return the table of an embodied evaluation."""
    rows = [
        [*name.split("/"), interval(cell["success"]), interval(cell["samples"]), f"{cell['steps']['value']:.1f}"]
        for name, cell in summary["cells"].items()
    ]
    cost = summary["cost_per_decision"]
    lines = [
        table(["task", "setting", "success [95 %]", "samples [95 %]", "steps"], rows),
        "",
        f"mean success {interval(summary['success'])} over {summary['episodes']} episodes",
    ]
    if cost.get("text_tokens"):
        lines.append(
            f"per decision: {cost['read_tokens']:.0f} tokens read, {cost['text_tokens']:.0f} written, "
            f"{cost['image_tokens']:.0f} of images, {cost['seconds'] * 1000:.0f} ms"
        )
    if summary.get("in_vain"):
        lines.append(f"of an episode in vain, the frame left as it was: {interval(summary['in_vain'])}")
    thoughts = summary["thoughts"]
    if thoughts.get("true"):
        lines.append(f"claims that hold {interval(thoughts['true'])}; conclusions followed {thoughts['followed']:.2f}")
    if summary["reviews"]:
        lines.append(f"reviews that changed the action {summary['reviews']['changed']:.2f}{_said(summary['reviews'])}")
    if claims := summary["reviews"].get("claims"):
        lines.append(_claimed(claims))
    return "\n".join(lines)


def _said(reviews: Mapping[str, Any]) -> str:
    """Return what reviews said of their plans, where somebody could tell."""
    if "says" not in reviews:
        return ""
    says, against = reviews["says"], reviews["against"]
    return (
        f"; of {reviews['reviews']}, {says['keep']} said to keep the plan ({against['keep']} did otherwise), "
        f"{says['change']} to change it ({against['change']} did otherwise), {says['nothing']} neither"
    )


def _claimed(claims: Mapping[str, Mapping[str, int]]) -> str:
    """Return how much of what reviews said of their plans and dreams was so."""
    plan, dream, still = (claims[name] for name in ("plan", "dream", "still"))
    return (
        f"reviews that named their plan {plan['checked']}, rightly {plan['true']}; claims about dreams of which it is "
        f"known what came {dream['checked']}, that came {dream['came']}; dreams said to stand still of which the frame "
        f"tells {still['told']}, that did {still['dreamed']}"
    )


def reviews_text(scores: Mapping[str, Any]) -> str:
    """Return the table of an evaluation of reviews, and what was found of decisions among plans."""
    columns = {
        "changed_good": "good plans changed",
        "changed_bad": "bad plans changed",
        "mended": "... as they ought to be",
        "same": "acts as in the first row",
        "consistent": "acts as it says",
        "true": "claims that hold",
    }
    rows = [[shown, *(interval(found[name]) for name in columns)] for shown, found in scores["shown"].items()]
    counts = f"{scores['lookaheads']} lookaheads of {scores['episodes']} episodes; {scores['bad']} plans are bad"
    parts = [table(["shown", *columns.values()], rows), counts] if rows else []
    return "\n\n".join([*parts, *([plans_text(scores["plans"])] if "plans" in scores else [])])


def plans_text(found: Mapping[str, Any]) -> str:
    """Return how decisions among several plans were made."""
    weighed = found["decisions"] - found["agreed"]
    lines = [
        f"{found['decisions']} decisions among plans in {found['episodes']} episodes; in {found['agreed']} all "
        f"proposals agreed, and {weighed} weighed {interval(found['plans'], 1)} plans",
        f"took a plan with the most votes {interval(found['most_votes'])}, with the best score "
        f"{interval(found['best_score'])}",
    ]
    if found["told"]:
        lines.append(
            f"of {found['told']} in which plans are known to bring different gains, took a best one "
            f"{interval(found['best_taken'])}; by votes {interval(found['best_by_votes'])}, at random "
            f"{interval(found['best_at_random'])}"
        )
    return "\n".join(lines)


def causality_text(scores: Mapping[str, Any]) -> str:
    """Return the table of a causality suite."""
    from rig.recipes.causality import HEADER, conclusion, table_rows

    return f"{table(HEADER, table_rows(scores))}\n\n{conclusion(scores)}"


def imagination_text(scores: Mapping[str, Any]) -> str:
    """Return the table of an evaluation of dreams."""
    entries = [(kind, entry) for kind in ("dream", "tokenizer", "copy") for entry in scores[kind]]
    measures = taken([entry for _, entry in entries])
    rows = [[kind, entry["steps"], *shown(entry, measures)] for kind, entry in entries]
    extractor = scores["dream"][0]["frechet"]["extractor"]
    made = f"{scores['chains']} chains, {scores['passes']:.1f} passes a dream"
    text = table(["frames", "steps", *measures.values()], rows)
    return f"{text}\n\n{made}; features of the Fréchet distance: {extractor}"


def dataset_text(found: Mapping[str, Any]) -> str:
    """Return what a dataset holds."""
    success = found["success_by_task"]
    rows = [
        [
            task,
            count,
            found["steps_by"]["task"].get(task, 0),
            f"{success[task]:.2f}" if success.get(task) is not None else "-",
        ]
        for task, count in found["trajectories_by"]["task"].items()
    ]
    lines = [
        f"{found['name']}: stage {found['stage']}, {found['environment']}, {found['trajectories']} trajectories, "
        f"{found['steps']} steps{'' if found['complete'] else ' (unfinished)'}",
        "",
        table(["task", "trajectories", "steps", "success"], rows),
    ]
    weighed = {int(count): steps for count, steps in found["plans"]["steps_by_plans"].items() if int(count)}
    if weighed:
        lines += [
            "",
            f"{sum(weighed.values())} decisions among plans: "
            + ", ".join(f"{steps} of {count}" for count, steps in sorted(weighed.items()))
            + f" plan(s); {found['plans']['against_the_votes']} took one that another had more votes than",
        ]
    return "\n".join(lines)


def annotations_text(report: Mapping[str, Any]) -> str:
    """Return how good a dataset's thoughts are, and what they cost."""
    thoughts, reviews = report["thoughts"], report["reviews"]
    left = ", false ones left out" if report["validated"] else ""
    by = ", ".join(f"{name} ({steps:,} steps)" for name, steps in report["annotators"].items())
    rows = [
        ["claims that hold", interval(thoughts["true"]) if thoughts["true"] else "-", thoughts["checked"]],
        ["clauses in the world's language", f"{thoughts['readable']:.2f}", thoughts["clauses"]],
        ["conclusions that are the action", f"{thoughts['followed']:.2f}", thoughts["conclusions"]],
    ]
    lines = [
        f"{report['data']}: {report['with_thought']:,} thoughts on {report['steps']:,} steps{left}; by {by}",
        "",
        table(["measure", "share [95 %]", "of"], rows),
    ]
    if reviews:
        share = f"{reviews['reviews']:,} reviews, that changed the action {reviews['changed']:.2f}"
        lines += ["", f"{share}{_said(reviews)}"]
    lines += ["", _claimed(reviews["claims"])] if reviews.get("claims") else []
    return "\n".join([*lines, *(["", costs_text(report["costs"])] if report["costs"] else [])])


def costs_text(costs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a dataset's annotators cost."""
    return "\n".join(f"{role}: {_cost(found)}" for role, found in costs.items())


def _cost(found: Mapping[str, Any]) -> str:
    """Return what one annotator cost, and what is not certain about it; see `rig.annotators.Costs`."""
    usd = "at unknown prices" if found["usd"] is None else f"for {found['usd']:.4f} USD"
    parts = [f"{found['calls']:,} calls {usd}, {found['tokens_in']:,} tokens in, {found['tokens_out']:,} out"]
    if found["estimated"]:
        parts.append(f"the tokens of {found['estimated']:,} are estimated, for the server did not say")
    parts.append(f"{found['cached']:,} answers from the store ({found['cached_usd']:.4f} USD when they were paid)")
    if found["failures"]:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in found["failures"].items())
        parts.append(f"{sum(found['failures'].values()):,} attempts failed ({kinds})")
    if found["maybe_charged"]:
        most = f"{found['maybe_charged_usd']:.4f} USD"
        parts.append(f"{found['maybe_charged']:,} broke off and may have been charged, {most} at the most")
    parts += [f"{found['given_up']:,} times a question was given up"] if found["given_up"] else []
    return "; ".join(parts)


def episode_text(trajectory: Trajectory, *, steps: bool = True) -> str:
    """Return an episode step by step."""
    outcome = "success" if trajectory.success else "failed"
    lines = [
        f"{trajectory.task}/{trajectory.setting}, seed {trajectory.seed}: {outcome} after {len(trajectory.steps)} steps"
    ]
    for step in trajectory.steps if steps else ():
        keys = ", ".join(sorted(step.action.keys)) or "noop"
        lines.append(f"  {step.index:3d}  {step.thought or ''}  -> {keys}".rstrip())
        if step.review is not None and step.review.helped:
            proposed = ", ".join(sorted(step.proposal.keys)) or "noop"
            lines.append(f"       (proposed {proposed}; changed after {len(step.dreams)} dreams)")
        if len(step.candidates) > 1:
            space = ACTION_SPACES.get(trajectory.action_space)
            lines.append(f"       {review_of_plans(step.candidates, step.chosen, space)}")
    return "\n".join(lines)


def sets_text(scores: Mapping[str, Any]) -> str:
    """Return how well the agent's own proposals in counterfactual sets are judged."""
    counts = f"{scores['sets']} sets of {scores['branches']} own proposals, {scores['with_a_choice']} with a choice"
    if not scores["with_a_choice"]:
        return f"{counts}: all proposals of a state are worth the same"
    rows: list[list[str]] = [["at random", "", "", interval(scores["at_random"]["lost"])]]
    rows += [
        [name, *(interval(found[measure]) for measure in ("pairs", "best", "lost"))]
        for name, found in scores["scorers"].items()
    ]
    return f"{table(['judge', 'pairs ranked rightly', 'best found', 'lost by the choice'], rows)}\n\n{counts}"


def judgements_text(scores: Mapping[str, Any]) -> str:
    """Return how well an agent says what its own proposals are worth, beside judges that need no training."""
    rows = [
        [given, interval(found["right"]), f"{found['confidence']:.2f}", f"{found['ece']:.3f}", interval(found["words"])]
        for given, found in scores["said"].items()
    ]
    verdicts = table(["given", "verdict right", "confidence", "ECE", "in the annotator's words"], rows)
    names = {"dreams": "dreams add to nothing", "real": "real frames add to dreams"}
    added = [
        [names[more], *(interval(found[measure]) for measure in ("pairs", "best", "lost"))]
        for more, found in scores["imagination"].items()
    ]
    parts = [sets_text(scores), verdicts]
    return "\n\n".join([*parts, table(["set by set", "pairs", "best found", "lost"], added)] if added else parts)
