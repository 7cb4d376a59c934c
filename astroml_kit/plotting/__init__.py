"""Plots of results, one function each: plain arrays or result objects in, matplotlib axes out.

==================================  ================================================================
`plot_theta_squared`                squared angular distance from the source, ON over scaled OFF
`plot_on_off`                       the same picture for any variable that is already binned
`plot_scores`                       counts in bins of a classifier score, background and signal
`plot_significance_per_run`         significance of every run under each selection
`plot_roc`                          signal efficiency against background acceptance
`plot_reliability`                  observed share of signal against the predicted probability
`plot_confusion`                    which class is taken for which, counts and shares
`plot_gain`                         significance per selection, or both of a `DetectionGain`
`plot_significance_map`             significance over the sky, exclusions and sources
`plot_significance_distribution`    how often each occurs in a map, with the fitted null
`plot_camera_image`                 charges in a camera, cleaned pixels and the Hillas ellipse
`plot_embedding`                    samples in two dimensions, by label or number
`plot_images`                       images side by side, such as generated ones
`plot_image`                        an image of the sky, stretched, on celestial axes
`plot_segmentation`                 the outlines of the sources found in an image
`plot_stamps`                       contact sheet of stamps with ids, scores and labels
`plot_similar`                      stamps beside those most like them
`plot_augmentation`                 stamps over what augmentation makes of them
`plot_reconstructions`              images, what an autoencoder makes of them, and the rest
`plot_attention`                    a series, and how much each of its steps counts
`plot_explanations`                 images, and where in them a network looked
`plot_forecast`                     a series and the distribution of what follows
`plot_coverage`                     share of truths covered against the share promised
`plot_history`                      losses of a training, and where overfitting begins
`plot_lightcurve`                   brightness over time: bands, errors, masked steps, limits
`plot_folded`                       two cycles of a folded light curve
`plot_periodogram`                  power over frequency, candidates and their aliases
`plot_transit`                      a light curve folded on a transit, with the fitted trapezoid
`plot_recovery`                     share of injected planets that a search found
`plot_redshifts`                    photometric against spectroscopic redshifts, as density
`plot_pit`                          how often the truth lies at each level of its distribution
`plot_redshift_bins`                scatter, bias, coverage in bins of magnitude or redshift
`plot_redshift_intervals`           intervals of some sources, with the truth
`plot_groups`                       groups on the sky, with circles
`plot_cone`                         groups over redshift and angle
`plot_cluster`                      an open cluster: sky, motions, parallaxes, colours
`plot_sky`                          positions on the whole sky, by colour of a value
`plot_density`                      positions per square degree over the whole sky
`plot_colours`                      colour against colour or magnitude, by class or density
==================================  ================================================================

Every function draws on ``ax`` or on new axes, returns the axes and never shows or saves them:
``plot_roc(...).figure.savefig("roc.png")``. Colours are those of Okabe and Ito, which stay apart
for colour-blind eyes; what is told by colour is also told by marker or line.
"""

from .cameras import plot_camera_image
from .catalogs import plot_cone, plot_groups
from .classifiers import plot_confusion, plot_reliability, plot_roc
from .clusters import plot_cluster
from .counts import (
    plot_gain,
    plot_on_off,
    plot_scores,
    plot_significance_per_run,
    plot_theta_squared,
)
from .embeddings import plot_embedding, plot_images, plot_reconstructions
from .explanations import plot_explanations
from .exploration import plot_colours, plot_density, plot_sky
from .images import plot_image, plot_segmentation
from .lightcurves import plot_folded, plot_lightcurve, plot_periodogram
from .maps import plot_significance_distribution, plot_significance_map
from .redshifts import (
    plot_pit,
    plot_redshift_bins,
    plot_redshift_intervals,
    plot_redshifts,
)
from .sequences import plot_attention, plot_forecast
from .stamps import plot_augmentation, plot_similar, plot_stamps
from .training import plot_history
from .transits import plot_recovery, plot_transit
from .uncertainty import plot_coverage

__all__ = [
    "plot_attention",
    "plot_augmentation",
    "plot_camera_image",
    "plot_cluster",
    "plot_colours",
    "plot_cone",
    "plot_confusion",
    "plot_coverage",
    "plot_density",
    "plot_embedding",
    "plot_explanations",
    "plot_folded",
    "plot_forecast",
    "plot_gain",
    "plot_groups",
    "plot_history",
    "plot_image",
    "plot_images",
    "plot_lightcurve",
    "plot_on_off",
    "plot_periodogram",
    "plot_pit",
    "plot_reconstructions",
    "plot_recovery",
    "plot_redshift_bins",
    "plot_redshift_intervals",
    "plot_redshifts",
    "plot_reliability",
    "plot_roc",
    "plot_scores",
    "plot_segmentation",
    "plot_significance_distribution",
    "plot_significance_map",
    "plot_significance_per_run",
    "plot_similar",
    "plot_sky",
    "plot_stamps",
    "plot_theta_squared",
    "plot_transit",
]
