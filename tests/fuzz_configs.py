"""Configurations of networks that are spoilt: refused by name, or a network that plays.

PYTHONPATH=src:tests python -c "import fuzz_configs; print(fuzz_configs.run(5000, seed=0))"
"""

from fuzz_agents import run_configs as run

__all__ = ["run"]
