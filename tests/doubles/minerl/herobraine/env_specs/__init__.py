"""A part of a strict double: see fake_minecraft."""
