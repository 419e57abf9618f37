"""One state of a Crafter world as its expert sees it: the map, the ways over it, and how a step of a way is taken."""

from __future__ import annotations

from collections.abc import Iterable

from rig.actions import NOOP, Action
from rig.envs.crafter.facts import HALF, WALKABLE
from rig.envs.crafter.ground import IMPASSABLE, Position, Tools, distances, minus, neighbours, plus, step_costs
from rig.envs.crafter.simulator import AREA
from rig.envs.crafter.world import CrafterWorld
from rig.teachers.crafter_gaps import next_gap, run_up

MOVES: dict[Position, Action] = {
    (-1, 0): Action.press("move_left"),
    (1, 0): Action.press("move_right"),
    (0, -1): Action.press("move_up"),
    (0, 1): Action.press("move_down"),
}
USE = Action.press("use")
PLACE_STONE = Action.press("place_stone")
_IN_VIEW_COST = 10.0
_TABLE_COST = 9.0
_FOES = ("Zombie", "Skeleton")


class Moment:
    """One decision: the state's map, what the recipes ask about it, and how a need becomes an action."""

    def __init__(self, world: CrafterWorld) -> None:
        self.world = world
        self.map = world.engine.world
        self.player = world.engine.player
        self.here: Position = (int(self.player.pos[0]), int(self.player.pos[1]))
        self.facing: Position = (int(self.player.facing[0]), int(self.player.facing[1]))
        self.faced = plus(self.here, self.facing)
        self.costs = step_costs(world.engine, Tools.of(self.player.inventory))
        self.placed = self._laid()
        for stone in self.placed:
            self.costs[stone] = IMPASSABLE

    # What the recipes ask (`crafter_needs.Situation`).

    def count(self, item: str) -> int:
        """Return how many of `item` the player holds."""
        return int(self.player.inventory[item])

    @property
    def remaining(self) -> int:
        """How many samples the task still asks for; of a wall, how many stones."""
        return self.world.task.target - self.world.samples

    def is_beside(self, kind: str, reach: int = 1) -> bool:
        """Return whether `kind` lies within `reach` cells around the player."""
        x, y = self.here
        around = self.map._mat_map[max(0, x - reach) : x + reach + 1, max(0, y - reach) : y + reach + 1]
        return bool((around == self.map._mat_ids[kind]).any())

    def is_known(self, kind: str) -> bool:
        """Return whether `kind` is near enough to walk to."""
        goals = self._places(kind)
        return bool(goals) and self.here in distances(self.costs, goals, until=self.here, limit=_TABLE_COST)

    # How a need becomes an action.

    def walk_to(self, kind: str) -> Action:
        """Return the first step of the way to the nearest `kind`, one in view before one out of view."""
        goals = self._places(kind)
        (x, y), (right, down) = self.here, HALF
        visible = [goal for goal in goals if -right <= goal[0] - x <= right and -down <= goal[1] - y <= down]
        reached = distances(self.costs, visible, until=self.here, limit=_IN_VIEW_COST)
        return self.walk(visible if self.here in reached else goals)

    def explore(self) -> Action:
        """Return the first step of the way to where the task of exploring is accomplished."""
        return self.walk(self._far_cells())

    def walk(self, goals: Iterable[Position]) -> Action:
        """Return the first step of the shortest way to the nearest of `goals`, straight on where ways tie."""
        to_goal = distances(self.costs, goals, until=self.here)
        if self.here not in to_goal:
            return NOOP
        best: tuple[float, bool, Position] | None = None
        for cell in neighbours(self.here):
            if cell in to_goal and (self.costs[cell] or to_goal[cell] == 0):
                far = to_goal[cell] + max(self.costs[cell], 1.0)
                rank = (far, cell != self.faced, cell)
                best = rank if best is None or rank < best else best
        return self.enter(best[2]) if best else NOOP

    def enter(self, cell: Position) -> Action:
        """Return what brings the player onto `cell`, or makes it give way: turn, use, bridge or walk."""
        material, creature = self.map[cell]
        if creature is None and material in WALKABLE:
            return MOVES[minus(cell, self.here)]
        if cell != self.faced:
            return MOVES[minus(cell, self.here)]
        if creature is None and material == "water" and self.costs[cell]:
            return PLACE_STONE
        return USE

    def place(self, thing: str) -> Action:
        """Place `thing` ahead, or step to where there is room ahead."""
        if self.is_open(self.faced):
            return Action.press(f"place_{thing}")
        for direction, move in MOVES.items():
            step = plus(self.here, direction)
            if self.is_open(step) and self.is_open(plus(step, direction)):
                return move
        return self.leave_corner()

    def strike(self, foe: Position) -> Action:
        """Return what hits a foe beside the player, or turns to it."""
        return USE if self.faced == foe else MOVES[minus(foe, self.here)]

    def build_wall(self) -> Action:
        """Lay a stone of a wall, or get to where one can be laid."""
        found = next_gap(self)
        if found is None:
            return self.leave_corner()
        gap, side = found
        stand, start = plus(gap, side), run_up(found)
        if (self.here, self.faced) == (stand, gap):
            return PLACE_STONE
        if self.here in (start, gap):
            return self.enter(stand)
        kept = self.costs[gap]
        self.costs[gap] = IMPASSABLE
        action = self.walk([start])
        self.costs[gap] = kept
        return action

    def leave_corner(self) -> Action:
        """Walk towards the nearest cell with open ground on all sides."""
        open_cells = [
            (x, y)
            for x in range(self.here[0] - 6, self.here[0] + 7)
            for y in range(self.here[1] - 6, self.here[1] + 7)
            if (x, y) != self.here and all(self.is_open(cell) for cell in (*neighbours((x, y)), (x, y)))
        ]
        return self.walk(open_cells)

    # The map.

    def _laid(self) -> frozenset[Position]:
        """Return where the player's own stones stand."""
        return self.world.placed

    def _places(self, kind: str) -> list[Position]:
        world = self.map
        xs, ys = (world._mat_map == world._mat_ids[kind]).nonzero()
        cells, placed = zip(xs.tolist(), ys.tolist(), strict=True), self.placed
        return [cell for cell in cells if cell not in placed] if placed else list(cells)

    def _far_cells(self) -> list[Position]:
        """Return the cells that are as far from the start as the task asks for, and that can be walked to."""
        (x0, y0), far = self.world.start, self.world.task.target
        sides = [(x, y) for x in (x0 - far, x0 + far) for y in range(y0 - far, y0 + far + 1)]
        ends = [(x, y) for x in range(x0 - far + 1, x0 + far) for y in (y0 - far, y0 + far)]
        return [(x, y) for x, y in sides + ends if 0 <= x < AREA[0] and 0 <= y < AREA[1] and self.costs[x, y]]

    def is_open(self, cell: Position) -> bool:
        """Return whether `cell` could be stood on; the player's own cell counts."""
        material, creature = self.map[cell]
        return material in WALKABLE and (creature is None or cell == self.here)

    def foe_beside(self) -> Position | None:
        """Return where a foe stands beside the player, the one that is faced first; None where none does."""
        for cell in (self.faced, *neighbours(self.here)):
            creature = self.map[cell][1]
            if creature is not None and type(creature).__name__ in _FOES:
                return cell
        return None
