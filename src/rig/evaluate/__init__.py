"""How good it is: scores with intervals, of episodes and of images.

This module can be called: `rig.evaluate(config, out)` is `evaluate_embodied`, which has no room's name to share.
"""

import sys
from types import ModuleType
from typing import Any

from rig.evaluate.images import (
    FEATURE_EXTRACTORS,
    PSNR_CEILING,
    FeatureExtractor,
    FrechetScore,
    PairScores,
    frechet_distance,
    frechet_score,
    pair_scores,
    psnr,
    ssim,
)
from rig.evaluate.stats import (
    DataEfficiency,
    Difference,
    Estimate,
    bootstrap_mean,
    data_efficiency,
    data_efficiency_interval,
    data_needed,
    mean_of_cells,
    mean_of_rates,
    paired_difference,
    wilson,
)

__all__ = [
    "FEATURE_EXTRACTORS",
    "PSNR_CEILING",
    "DataEfficiency",
    "Difference",
    "Estimate",
    "FeatureExtractor",
    "FrechetScore",
    "PairScores",
    "bootstrap_mean",
    "data_efficiency",
    "data_efficiency_interval",
    "data_needed",
    "frechet_distance",
    "frechet_score",
    "mean_of_cells",
    "mean_of_rates",
    "pair_scores",
    "paired_difference",
    "psnr",
    "ssim",
    "wilson",
]


class _Callable(ModuleType):
    """A module that evaluates when it is called."""

    def __call__(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Do what `rig.evaluate.embodied.evaluate_embodied` does."""
        from rig.evaluate.embodied import evaluate_embodied

        return evaluate_embodied(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
