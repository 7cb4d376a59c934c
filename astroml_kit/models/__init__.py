"""The model zoo: scikit-learn's contract, arrays or Samples in, arrays out, no pickle."""

from ._archive import ModelFileError
from ._forecast import Forecast
from ._frechet import frechet_distance
from ._mixture import Mixture
from .active_anomalies import AnomalyLoop
from .anomaly import AnomalyDetector
from .autoencoders import Autoencoder
from .bands import BandedClassifier
from .bdt import BDTClassifier, BDTRegressor
from .blended import BlendedClassifier
from .calibrated import CalibratedClassifier
from .calibrated_density import CalibratedRegressor
from .cards import ModelCard
from .conformal import ConformalClassifier, ConformalRegressor
from .deep_ensemble import DeepEnsemble, sample_dropout
from .files import load_model, save_model
from .forest import ForestClassifier
from .gan import GAN
from .hybrid import HybridClassifier
from .image_classifier import ImageClassifier
from .image_embedder import ImageEmbedder
from .laplace import LaplaceRegressor
from .latent_walks import interpolate_latent
from .mixture_density import MixtureDensityRegressor
from .neural import NeuralClassifier, NeuralRegressor
from .prior_shift import PriorShift, correct_prior_shift
from .pseudo_labels import PseudoLabelClassifier
from .reduction import reduce_dimensions
from .sequence_classifier import SequenceClassifier
from .sequence_forecaster import SequenceForecaster
from .sky_dbscan import SkyDBSCAN
from .tuning import Tuning, tune_model
from .variational import VariationalAutoencoder
from .zoo import list_models

# Sorted as Python sorts: GAN is a class and no constant.
__all__ = [  # noqa: RUF022
    "AnomalyDetector",
    "AnomalyLoop",
    "Autoencoder",
    "BDTClassifier",
    "BDTRegressor",
    "BandedClassifier",
    "BlendedClassifier",
    "CalibratedClassifier",
    "CalibratedRegressor",
    "ConformalClassifier",
    "ConformalRegressor",
    "DeepEnsemble",
    "Forecast",
    "ForestClassifier",
    "GAN",
    "HybridClassifier",
    "ImageClassifier",
    "ImageEmbedder",
    "LaplaceRegressor",
    "Mixture",
    "MixtureDensityRegressor",
    "ModelCard",
    "ModelFileError",
    "NeuralClassifier",
    "NeuralRegressor",
    "PriorShift",
    "PseudoLabelClassifier",
    "SequenceClassifier",
    "SequenceForecaster",
    "SkyDBSCAN",
    "Tuning",
    "VariationalAutoencoder",
    "correct_prior_shift",
    "frechet_distance",
    "interpolate_latent",
    "list_models",
    "load_model",
    "reduce_dimensions",
    "sample_dropout",
    "save_model",
    "tune_model",
]
