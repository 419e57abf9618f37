"""Whole experiments as plans of `rig` commands, with a report at the end."""
