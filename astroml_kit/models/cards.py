"""Model cards: what a model is for, what it learned from, how well it does, and where it fails."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..samples import Samples
from .zoo import ROWS

FEW, UNCALIBRATED = 100, 0.05
UNKNOWN = "not recorded"
TABLES = {"bands": "Per band", "reliability": "Calibration"}
STYLE = "border-collapse:collapse;margin:0.4em 0 1em"
CELL = "padding:0.15em 0.9em 0.15em 0;text-align:left;border-bottom:1px solid #ddd"


@dataclass(frozen=True, eq=False)
class ModelCard:
    """A page on one model, as text and as HTML.

    Attributes
    ----------
    name, task, input, reference : str
        As in `list_models`.
    purpose : str
        What it is for.
    parameters : dict
        Those that are not the default.
    training : dict
        Fingerprint (sha256) and size of the training data, counts of labels and groups.
    metrics : dict
        What was measured, with a table per band and a reliability curve where there are such.
    limits : tuple of str
        Where not to trust it: what this card found, then what its author added.
    versions : dict
        Of libraries, when the model came from a file.

    References
    ----------
    Mitchell et al. 2019, doi:10.1145/3287560.3287596.
    """

    name: str
    task: str
    input: str
    purpose: str
    reference: str
    parameters: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    limits: tuple[str, ...]
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"limits": list(self.limits)}

    def __str__(self) -> str:
        lines = [self.name, "=" * len(self.name)]
        for title, rows in self._list_sections():
            lines += ["", title, "-" * len(title)]
            if isinstance(rows, Mapping):
                lines += _align(rows)
            else:
                lines += [f"- {row}" if title == "Limits" else row for row in rows]
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return a piece of HTML that needs nothing else; notebooks show it by themselves."""
        parts = [f"<h2>{html.escape(self.name)}</h2>"]
        for title, rows in self._list_sections():
            parts.append(f"<h3>{html.escape(title)}</h3>")
            if not isinstance(rows, Mapping):
                items = "".join(f"<li>{html.escape(row)}</li>" for row in rows)
                parts.append(f"<ul>{items}</ul>")
                continue
            table = list(_list_rows(rows))
            tag = "th" if _is_table(rows) else "td"
            body = "".join(
                "<tr>"
                + "".join(
                    f'<{kind} style="{CELL}">{html.escape(cell)}</{kind}>'
                    for cell in row
                    for kind in [tag if number == 0 else "td"]
                )
                + "</tr>"
                for number, row in enumerate(table)
            )
            parts.append(f'<table style="{STYLE}">{body}</table>')
        return "\n".join(parts) + "\n"

    def _repr_html_(self) -> str:
        return self.to_html()

    def _list_sections(self) -> Iterator[tuple[str, Any]]:
        about = {"purpose": self.purpose, "task": self.task, "input": self.input,
                 "reference": self.reference}  # fmt: skip
        yield "About", about
        yield "Parameters", self.parameters or ["all by default"]
        yield "Training data", self.training or [UNKNOWN]
        plain = {k: v for k, v in self.metrics.items() if k not in (*TABLES, "errors")}
        errors = self.metrics.get("errors") or {}
        for key, error in dict(errors).items():
            if isinstance(plain.get(key), int | float) and error is not None:
                plain[key] = f"{_write(plain[key])} +- {_write(error)}"
        yield "Metrics", plain or [UNKNOWN]
        for key, title in TABLES.items():
            table = self.metrics.get(key)
            if isinstance(table, Mapping) and _is_table(table) and len(next(iter(table.values()))):
                yield title, table
        yield "Limits", list(self.limits)
        if self.versions:
            yield "Versions", self.versions


class Carded:
    """What gives a member of the zoo its card."""

    def card(
        self,
        *,
        evaluation: Any = None,
        training: Samples | Mapping[str, Any] | None = None,
        purpose: str | None = None,
        limits: tuple[str, ...] = (),
    ) -> ModelCard:
        """Describe this model: purpose, training data, metrics, calibration, limits.

        Parameters
        ----------
        evaluation : evaluation or mapping, optional
            What `astroml_kit.evaluation` measured on data that it was not trained on. By default
            what its file says.
        training : Samples or mapping, optional
            What it was trained on, of which size and fingerprint are kept. By default what its
            file says.
        purpose : str, optional
            What it is for, instead of what its class is for.
        limits : tuple of str
            What is known besides.

        Returns
        -------
        ModelCard
            ``print`` it, or let a notebook show it.
        """
        from .files import describe_training

        stored = getattr(self, "model_card_", {})
        metrics = stored.get("metrics", {}) if evaluation is None else evaluation
        if hasattr(metrics, "to_dict"):
            metrics = metrics.to_dict()
        told = stored.get("training", {}) if training is None else describe_training(training)
        row = next(row for row in ROWS if row[0] == type(self).__name__)
        return ModelCard(
            name=row[0],
            task=row[1],
            input=row[2],
            purpose=purpose or row[3],
            reference=row[4],
            parameters=_list_changed(self),
            training=dict(told),
            metrics=dict(metrics),
            limits=(*_find_limits(self, told, metrics), *limits),
            versions=dict(stored.get("versions", {})),
        )


def _list_changed(model: Any) -> dict[str, Any]:
    usual = type(model)().get_params(deep=False)
    return {
        name: _write_parameter(value)
        for name, value in model.get_params(deep=False).items()
        if repr(value) != repr(usual.get(name))
    }


def _write_parameter(value: Any) -> Any:
    """Plain values as they are; estimators, paths and the like as text, on one line."""
    if isinstance(value, list | tuple):
        return tuple(_write_parameter(item) for item in value)
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return " ".join(str(value).split())


def _find_limits(
    model: Any, training: Mapping[str, Any], metrics: Mapping[str, Any]
) -> Iterator[str]:
    if not hasattr(model, "n_features_in_"):
        yield "It is not fitted."
        return
    if not training:
        yield "What it was trained on is not recorded: save it with training=samples."
    elif "n_groups" in training and training["n_groups"] is None:
        yield "Its training data had no groups: showers or runs may be on both sides of a split."
    labels = training.get("labels") or {}
    if labels and (poorest := min(labels.values())) < FEW:
        yield f"One class had {poorest} samples to learn from."
    if not metrics:
        yield "How well it does is not recorded: save it with metrics=evaluation.to_dict()."
    ece = metrics.get("ece")
    if isinstance(ece, float) and ece > UNCALIBRATED:
        yield f"Its scores are no probabilities: the expected calibration error is {ece:.3f}."
    bands = metrics.get("bands")
    if isinstance(bands, Mapping) and "band" in bands:
        for key in ("n_signal", "n_background"):
            poor = [str(band) for band, n in zip(bands["band"], bands.get(key, []), strict=False)
                    if n is not None and n < FEW]  # fmt: skip
            if poor:
                yield f"{key} is below {FEW} in the bands {', '.join(poor)}."
    if getattr(model, "interrupted_", False):
        yield "Its training was interrupted."
    history = getattr(model, "history_", None)
    if history is not None and getattr(model, "best_epoch_", -1) == getattr(model, "max_epochs", 0):
        yield "It was still getting better in its last epoch: train for longer."
    if (table := getattr(model, "bands_", None)) is not None:
        n_poor = int(np.sum(np.asarray(table["fallback_from"]) >= 0))
        if n_poor:
            yield f"{n_poor} of {len(table)} bands are served by the model of another."
    if labels or metrics:
        yield "Scores are those of objects like the training data; elsewhere they are guesses."


def _is_table(values: Mapping[str, Any]) -> bool:
    return bool(values) and all(isinstance(value, list) for value in values.values())


def _list_rows(values: Mapping[str, Any]) -> Iterator[list[str]]:
    if _is_table(values):
        yield [str(key) for key in values]
        for row in zip(*values.values(), strict=False):
            yield [_write(cell) for cell in row]
    else:
        for key, value in values.items():
            yield [str(key), _write(value)]


def _align(values: Mapping[str, Any]) -> list[str]:
    rows = list(_list_rows(values))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _write(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_write(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        shown = [_write(item) for item in value[:12]]
        return ", ".join(shown) + (f", ... ({len(value)})" if len(value) > 12 else "")
    return str(value)
