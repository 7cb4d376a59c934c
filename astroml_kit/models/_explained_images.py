"""Where an image classifier looked, as maps over the images."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice
from ._backbones import FAMILIES

METHODS = ("auto", "grad-cam", "attention")
AT_ONCE = 32  # images whose gradients are held


class ExplainedImages:
    """Mixed into the image classifier."""

    backbone: Any
    device: str
    n_jobs: int | None
    classes_: np.ndarray
    module_: Any
    _spec: Any
    _kind: str
    _dtype: str
    _check_rows: Any
    _transform_inputs: Any
    decision_function: Any

    def explain(self, X: Any, *, target: Any = None, method: str = "auto") -> np.ndarray:
        """Say where in each image the network saw signs of a class.

        Parameters
        ----------
        X : array_like or Samples
            Of the shape that the model was trained on.
        target : label or array_like of labels, shape (n_images,), optional
            Class (label, answer) to look for; by default the one that is predicted.
        method : {"auto", "grad-cam", "attention"}
            "grad-cam", of convolutional networks: the last maps, each weighted by the gradient of
            the class's score (Selvaraju et al. 2017, arXiv:1610.02391). "attention", of
            transformers: the attention of all blocks one after the other (Abnar & Zuidema 2020,
            arXiv:2005.00928), weighted by the gradient (Chefer et al. 2021, arXiv:2103.15679).
            "auto" is the one that the backbone has.

        Returns
        -------
        ndarray, shape (n_images, height, width), float32
            From 0 to 1, the maximum of each image; all zero where nothing speaks for the class.
            With ``symmetry``, the map of a turned image is the turned map.

        Raises
        ------
        ValueError
            For labels that the model does not know, and for a method that its backbone lacks.
        """
        check_is_fitted(self)
        method = self._choose_method(check_choice("method", method, METHODS))
        images = self._check_rows(X)
        contrast = self._choose_contrast(images, target)
        parts = [
            self._explain(images[k : k + AT_ONCE], contrast[k : k + AT_ONCE], method)
            for k in range(0, len(images), AT_ONCE)
        ]
        return np.concatenate(parts)

    def _explain(self, images: np.ndarray, contrast: np.ndarray, method: str) -> np.ndarray:
        import torch

        from ._image_explanations import explain_network
        from ._training import find_device, isolate_torch

        device = find_device(self.device)
        with isolate_torch(device=device, n_threads=effective_n_jobs(self.n_jobs)):
            network = self.module_.to(device).eval()
            inputs, weights = (
                torch.tensor(values, dtype=getattr(torch, self._dtype), device=device)
                for values in (self._transform_inputs(images), contrast)
            )
            maps = explain_network(network, inputs, weights, method=method)
            return maps.cpu().numpy().astype(np.float32)

    def _choose_method(self, method: str) -> str:
        family = None if self._spec is None else self._spec.family
        own = "attention" if (family or self.backbone) in ("vit", *FAMILIES) else "grad-cam"
        if method not in ("auto", own):
            name = family or self.backbone
            raise ValueError(f"method must be {own!r} or 'auto' for a {name}, got {method!r}.")
        return own

    def _choose_contrast(self, images: np.ndarray, target: Any) -> np.ndarray:
        """Weights of the outputs whose sum is to be explained, shape (n, n_outputs)."""
        if target is None:
            score = self.decision_function(images)
            column = (score > 0).astype(int) if self._kind == "binary" else score.argmax(axis=1)
        else:
            wanted = np.broadcast_to(np.asarray(target), len(images))
            known = self.classes_.tolist()
            if strange := sorted({str(w) for w in wanted.tolist() if w not in known}):
                raise ValueError(f"target must be in {known}, got {strange}.")
            column = np.array([known.index(label) for label in wanted.tolist()])
        if self._kind == "binary":
            return 2.0 * column[:, None] - 1
        contrast = np.eye(len(self.classes_))[column]
        # more votes for all answers are none for one of them
        return (
            contrast - contrast.mean(axis=1, keepdims=True) if self._kind == "votes" else contrast
        )
