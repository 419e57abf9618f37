"""Minecraft itself, as MineStudio and MineRL 1.0 run it: see docs/minecraft.md.

One world (`world`), its tasks (`tasks`), what counts (`progress`, of the `facts` that an engine tells), and two engines
under it (`minestudio`, `minerl`), which must be on the machine (`prerequisites`). States can be neither saved nor gone
back to.
"""
