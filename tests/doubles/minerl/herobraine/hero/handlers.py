"""A strict double of MineRL 1.0's handlers of the start: see fake_minecraft."""

from fake_minecraft import BIOMES, ITEMS, refuse


class SimpleInventoryAgentStart:
    def __init__(self, inventory):
        for stack in inventory:
            refuse(set(stack) != {"type", "quantity"}, f"a slot is {stack}")
            refuse(stack["type"] not in ITEMS or not 1 <= stack["quantity"] <= 64, f"a slot holds {stack}")
        refuse(len(inventory) > 36, "there are 36 slots")
        self.inventory = inventory


class PreferredSpawnBiome:
    def __init__(self, biome):
        refuse(biome not in BIOMES, f"the biome is {biome!r}")
        self.biome = biome
