"""What is in the zoo: one row per model, with the job it is for and where it comes from."""

from __future__ import annotations

from astropy.table import Table

ROWS = (
    (
        "BDTClassifier",
        "classification",
        "table (n_samples, n_features), NaN allowed",
        "gamma-hadron separation and any other classes of tabulated objects",
        "Ke et al. 2017, LightGBM, NeurIPS 30",
    ),
    (
        "BDTRegressor",
        "regression",
        "table (n_samples, n_features), NaN allowed",
        "energies, redshifts and other continuous targets",
        "Ke et al. 2017, LightGBM, NeurIPS 30",
    ),
    (
        "ForestClassifier",
        "classification",
        "table (n_samples, n_features), NaN allowed",
        "few or noisy labels; a second opinion beside boosted trees, and a member of blends",
        "Geurts, Ernst & Wehenkel 2006, doi:10.1007/s10994-006-6226-1",
    ),
    (
        "BandedClassifier",
        "classification",
        "table with the columns that define the bands",
        "one classifier per energy x zenith band, with fallback for poor bands",
        "Ohm, van Eldik & Egberts 2009, doi:10.1016/j.astropartphys.2009.04.001",
    ),
    (
        "NeuralClassifier",
        "classification, several labels at once",
        "table (n_samples, n_features), NaN on request",
        "smooth problems with many samples; a second opinion beside the trees",
        "Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0",
    ),
    (
        "NeuralRegressor",
        "regression, several targets at once",
        "table (n_samples, n_features), NaN on request",
        "energies, directions and redshifts, with an error per sample on request",
        "Nix & Weigend 1994, doi:10.1109/ICNN.1994.374138",
    ),
    (
        "MixtureDensityRegressor",
        "regression, whole distributions",
        "table (n_samples, n_features), NaN on request",
        "targets whose errors are skew or have several peaks",
        "Bishop 1994, Mixture density networks, NCRG/94/004",
    ),
    (
        "ImageClassifier",
        "classification, several labels at once",
        "images (n_samples, height, width) or (n_samples, n_channels, height, width)",
        "camera images of showers, cut-outs of galaxies; from scratch or pretrained",
        "LeCun et al. 1998, doi:10.1109/5.726791; Dosovitskiy et al. 2021, arXiv:2010.11929",
    ),
    (
        "ImageEmbedder",
        "features of images, without labels",
        "images (n_samples, height, width) or (n_samples, n_channels, height, width)",
        "clusters, retrieval and few labels; from scratch or pretrained",
        "Chen et al. 2020, arXiv:2002.05709; Hayat et al. 2021, doi:10.3847/2041-8213/abf2c7",
    ),
    (
        "SequenceClassifier",
        "classification, several labels at once",
        "series: a list of arrays (n_steps, n_columns), or one array padded with NaN",
        "light curves and event streams of any length and sampling, with errors and bands",
        "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
    ),
    (
        "SequenceForecaster",
        "forecast of values and their distributions, several steps ahead",
        "series: a list of arrays (n_steps, n_columns), or one array padded with NaN",
        "how a light curve goes on, at any time, and what departs from that",
        "Wen et al. 2017, arXiv:1711.11053; Salinas et al. 2020, "
        "doi:10.1016/j.ijforecast.2019.07.001",
    ),
    (
        "PseudoLabelClassifier",
        "classification from few labels",
        "as its estimator takes it, most samples unlabelled",
        "few labelled stars or galaxies and many without; keeps to the labels where that is better",
        "Lee 2013; Rizve et al. 2021, arXiv:2101.06329",
    ),
    (
        "BlendedClassifier",
        "classification",
        "as its estimators take it",
        "different models in one, weighted by out-of-fold scores",
        "Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1",
    ),
    (
        "HybridClassifier",
        "classification",
        "table: the features of each object, then its series, step by step",
        "features for trees and folded light curves for networks, in one",
        "Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1",
    ),
    (
        "CalibratedClassifier",
        "classification, probabilities",
        "as its estimator takes it",
        "scores that may be read as probabilities",
        "Guo et al. 2017, arXiv:1706.04599",
    ),
    (
        "CalibratedRegressor",
        "regression, distributions and intervals that hold",
        "as its estimator takes it",
        "photometric redshifts: densities whose quantiles are right in every band of magnitude",
        "Bordoloi, Lilly & Amara 2010, doi:10.1111/j.1365-2966.2010.16765.x",
    ),
    (
        "ConformalClassifier",
        "classification, sets of classes",
        "as its estimator takes it",
        "sets that hold the true class with a stated confidence",
        "Sadinle, Lei & Wasserman 2019, doi:10.1080/01621459.2017.1395341",
    ),
    (
        "ConformalRegressor",
        "regression, intervals",
        "as its estimator takes it",
        "intervals that hold the true value with a stated confidence",
        "Lei et al. 2018, doi:10.1080/01621459.2017.1307116",
    ),
    (
        "DeepEnsemble",
        "classification or regression, with an error",
        "as its estimator takes it",
        "several networks that differ by chance: better, and aware of what is unlike its training",
        "Lakshminarayanan, Pritzel & Blundell 2017, arXiv:1612.01474",
    ),
    (
        "LaplaceRegressor",
        "regression, with an error",
        "table (n_samples, n_features), NaN on request",
        "the error of a network's estimate, from a Bayesian last layer",
        "MacKay 1992, doi:10.1162/neco.1992.4.3.448",
    ),
    (
        "Autoencoder",
        "latent space, reconstruction, anomalies; without labels",
        "table (n_samples, n_features), or images as for ImageClassifier",
        "maps of a sample, denoising, and what does not fit in",
        "Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647",
    ),
    (
        "VariationalAutoencoder",
        "latent space, likelihood bound, new samples; without labels",
        "table (n_samples, n_features), or images as for ImageClassifier",
        "drawing catalogue rows and images like the given ones; scores of how likely one is",
        "Kingma & Welling 2014, arXiv:1312.6114",
    ),
    (
        "AnomalyDetector",
        "outliers; without labels",
        "table (n_samples, n_features), or images as for ImageClassifier",
        "rare and damaged objects, by trees, reconstruction, distance and the mean of their ranks",
        "Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17",
    ),
    (
        "GAN",
        "new samples; without labels",
        "table (n_samples, n_features), or small images as for ImageClassifier",
        "sharp simulated images and rows, with their Frechet distance from the real ones",
        "Goodfellow et al. 2014, arXiv:1406.2661; Miyato et al. 2018, arXiv:1802.05957",
    ),
    (
        "SkyDBSCAN",
        "clusters; without labels",
        "table (longitude, latitude, further axes), degrees first",
        "groups of events, stars and galaxies on the sphere, in redshift, time or motion too",
        "Ester et al. 1996, KDD-96, 226",
    ),
)


def list_models() -> Table:
    """List the models of the zoo.

    Returns
    -------
    `~astropy.table.Table`
        One row per model: ``name``, ``task``, ``input``, ``purpose``, ``reference``.

    Examples
    --------
    >>> list_models()["name"].tolist()[:3]
    ['BDTClassifier', 'BDTRegressor', 'ForestClassifier']
    """
    table = Table(rows=list(ROWS), names=("name", "task", "input", "purpose", "reference"))
    table.meta["made_by"] = "astroml_kit.models.list_models"
    return table
