"""One `rig` command, a verb per room."""
