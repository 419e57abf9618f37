"""Crafter (Hafner 2021, MIT) as a world of RIG."""
