"""The model zoo: scikit-learn's contract, arrays or Samples in, arrays out, no pickle."""

from ._archive import ModelFileError
from ._forecast import Forecast
from ._frechet import frechet_distance
from .anomaly import AnomalyDetector
from .autoencoders import Autoencoder
from .bands import BandedClassifier
from .bdt import BDTClassifier, BDTRegressor
from .blended import BlendedClassifier
from .calibrated import CalibratedClassifier
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
from .neural import NeuralClassifier, NeuralRegressor
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
    "Autoencoder",
    "BDTClassifier",
    "BDTRegressor",
    "BandedClassifier",
    "BlendedClassifier",
    "CalibratedClassifier",
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
    "ModelCard",
    "ModelFileError",
    "NeuralClassifier",
    "NeuralRegressor",
    "PseudoLabelClassifier",
    "SequenceClassifier",
    "SequenceForecaster",
    "SkyDBSCAN",
    "Tuning",
    "VariationalAutoencoder",
    "frechet_distance",
    "list_models",
    "load_model",
    "reduce_dimensions",
    "sample_dropout",
    "save_model",
    "tune_model",
]
