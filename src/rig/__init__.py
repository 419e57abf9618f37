"""RIG: reasoning, acting and imagining in one autoregressive transformer (arXiv 2503.24388)."""

__version__ = "0.1.0.dev0"
