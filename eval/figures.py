"""What each figure of a set of pictures is called, and says."""

from .measures import About

FIGURES: dict[str, About] = {
    "fd": About(
        title="Frechet distance", better="less", kind="distance",
        note="How far the samples of all styles together lie from the real training pictures, each taken as "
        "one Gaussian; 0 if they agree. By style, against that style's training pictures.",
    ),
    "accuracy": About(
        title="style accuracy", better="more", kind="share",
        note="Share of pictures whose style a linear probe names, as a mean over the styles, with its "
        "standard error. The probe learnt from real training pictures.",
    ),
    "kid": About(
        title="kernel distance", better="less", kind="distance",
        note="Squared maximum mean discrepancy with a cubic kernel, unbiased, so that it may be negative; "
        "the spread is the deviation over its subsets.",
    ),
    "precision": About(
        title="precision", better="more", kind="share",
        note="Share of samples within the real training pictures' manifold, with its standard error.",
    ),
    "recall": About(
        title="recall", better="more", kind="share",
        note="Share of real training pictures within the samples' manifold, with its standard error.",
    ),
    "density": About(
        title="density", better="more", kind="share",
        note="In how many real neighbourhoods a sample lies, over k; may exceed 1.",
    ),
    "coverage": About(
        title="coverage", better="more", kind="share",
        note="Share of real training pictures that have a sample in their neighbourhood.",
    ),
    "is": About(
        title="inception score", better="more", kind="share",
        note="Exponential of the mean divergence between a sample's classes and all samples' classes; the "
        "spread is the deviation over ten splits.",
    ),
    "cosine": About(
        title="cosine to the style", better="more", kind="share",
        note="Mean cosine to the prototype of the style asked for; uncalibrated: read it beside the next.",
    ),
    "csls": About(
        title="calibrated cosine", better="more", kind="share",
        note="Twice the cosine less the mean nearness of that picture and of that prototype (CSLS).",
    ),
    "nearer_to_own": About(
        title="nearer to its own style", better="more", kind="share",
        note="Chance that a picture is more like its own style's prototype than like another's; 0.5 is none.",
    ),
    "gram": About(
        title="Gram distance", better="less", kind="distance",
        note="Squared distance of the mean Gram matrices (normalised by chw) of samples and of real training "
        "pictures.",
    ),
    "mean_std": About(
        title="mean/std distance", better="less", kind="distance",
        note="Squared distance of the mean channel statistics, summed over the taps.",
    ),
    "diversity": About(
        title="diversity within a style", better="more", kind="share",
        note="Typical distance of two samples of one style over that of two real training pictures of it.",
    ),
    "copies": About(
        title="share of near-copies", better="less", kind="share",
        note="Share of samples nearer to a training picture than all but 1 % of held-out real ones are.",
    ),
    "nearest_ratio": About(
        title="distance to the nearest training picture", better="more", kind="share",
        note="As a multiple of the median of held-out real pictures: near 0 are copies.",
    ),
}  # fmt: skip
