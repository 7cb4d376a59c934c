"""The model zoo: scikit-learn's contract, arrays or Samples in, arrays out, no pickle."""

from ._archive import ModelFileError
from .bands import BandedClassifier
from .bdt import BDTClassifier, BDTRegressor
from .files import load_model, save_model
from .image_classifier import ImageClassifier
from .image_embedder import ImageEmbedder
from .neural import NeuralClassifier, NeuralRegressor
from .zoo import list_models

__all__ = [
    "BDTClassifier",
    "BDTRegressor",
    "BandedClassifier",
    "ImageClassifier",
    "ImageEmbedder",
    "ModelFileError",
    "NeuralClassifier",
    "NeuralRegressor",
    "list_models",
    "load_model",
    "save_model",
]
