"""How good it is: scores with intervals, of episodes and of images."""

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
