"""Rows of forecasts, their scores with errors, and pairs of them compared."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from ...models import Forecast
from .inputs import Steps
from .rolling import Horizons, Rolled, find_scored, mark_limits
from .scores import calibrate, draw_blocks, standardise
from .state_space import MISSING

N_DRAWS = 1000
STATISTICS = ("rmse", "crps")


def find_residuals(steps: Steps, rolled: Rolled) -> np.ndarray:
    """Return residuals in the scatter that was predicted."""
    return standardise(
        steps.value[rolled.target], rolled.mean, rolled.scatter,
        **mark_limits(steps, rolled.target),
    )  # fmt: skip


def tabulate_rows(
    method: str, steps: Steps, rolled: Rolled, begin: int, horizons: Horizons,
    levels: np.ndarray, *, score_limits: bool,
) -> QTable:  # fmt: skip
    """Return the forecasts of steps from ``begin`` on that count, with calibrated quantiles."""
    z = find_residuals(steps, rolled)
    counts = find_scored(steps, rolled.target, score_limits=score_limits)
    # limits that are dropped say nothing of the intervals either
    z = np.where((steps.kind[rolled.target] == MISSING) & ~counts, np.nan, z)
    parts = []
    for k, ahead in enumerate(horizons.ahead):
        own = np.flatnonzero(rolled.horizon == k)
        own = own[np.argsort(rolled.target[own], kind="stable")]
        kept = own[counts[own] & (rolled.target[own] >= begin)]
        deviates = calibrate(z[own], rolled.target[own], rolled.origin[kept], levels)
        target = rolled.target[kept]
        table = QTable()
        table["method"] = [method] * len(kept)
        table["horizon"] = (
            np.full(len(kept), int(ahead)) if horizons.in_steps else np.full(len(kept), ahead) * u.d
        )
        table["origin"] = steps.start + steps.time[rolled.origin[kept]] * u.day
        table["time"] = steps.start + steps.time[target] * u.day
        table["truth"], table["error"] = steps.given[target], steps.error[target]
        table["is_limit"], table["mean"] = steps.is_limit[target], rolled.mean[kept]
        quantiles = rolled.mean[kept] + deviates * rolled.scatter[kept]
        for level, column in zip(levels, quantiles, strict=True):
            table[name_level(level)] = column
        parts.append(table)
    return vstack(parts, metadata_conflicts="silent")


def name_level(level: float) -> str:
    """Name the column of a quantile."""
    return f"q{100 * level:04.1f}".removesuffix(".0")


def group_rows(table: QTable, *names: str) -> list[QTable]:
    """Return parts with equal entries, in the order in which those first occur."""
    keys = [tuple(str(row[name]) for name in names) for row in table]
    return [table[np.array([own == key for own in keys])] for key in dict.fromkeys(keys)]


def _list_losses(rows: QTable, levels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each forecast has lost."""
    truth, mean = np.asarray(rows["truth"]), np.asarray(rows["mean"])
    quantiles = np.array([rows[name_level(level)] for level in levels])
    miss = truth - quantiles
    own = levels[:, None]
    forecast = Forecast(
        np.zeros((len(rows), 1)), "quantiles", quantiles[..., None], tuple(levels.tolist())
    )
    return {
        "square": (truth - mean) ** 2,
        "bias": mean - truth,
        "crps": forecast.compute_crps(truth[:, None])[:, 0],
        "pinball": np.maximum(own * miss, (own - 1) * miss).mean(axis=0),
        "coverage": ((quantiles[0] <= truth) & (truth <= quantiles[-1])).astype(float),
        "width": quantiles[-1] - quantiles[0],
    }


def score_rows(rows: QTable, levels: np.ndarray, block: int, rng: np.random.Generator) -> QTable:
    """Return one row per method and horizon."""
    found = []
    seed = int(rng.integers(2**31))
    for own in group_rows(rows, "method", "horizon"):
        loss = _list_losses(own, levels)
        draw = draw_blocks(len(own), block=block, n_draws=N_DRAWS, rng=np.random.default_rng(seed))
        mean = {name: value.mean() for name, value in loss.items()}
        error = {name: value[draw].mean(axis=1).std() for name, value in loss.items()}
        rmse = np.sqrt(mean["square"])
        seen = ~np.asarray(own["is_limit"])
        found.append({
            "method": own["method"][0], "horizon": own["horizon"][0], "n": len(own), "rmse": rmse,
            "rmse_error": np.sqrt(loss["square"][draw].mean(axis=1)).std(),
            "bias": mean["bias"], "bias_error": error["bias"],
            "crps": mean["crps"], "crps_error": error["crps"], "pinball": mean["pinball"],
            "coverage": mean["coverage"], "coverage_error": error["coverage"],
            "width": mean["width"],
            "floor": np.sqrt(np.mean(np.asarray(own["error"])[seen] ** 2)) if seen.any() else 0.0,
        })  # fmt: skip
    return QTable(found)


def compare_rows(
    rows: QTable, first: str, second: str, *, levels: np.ndarray, statistic: str, block: int,
    rng: np.random.Generator,
) -> QTable:  # fmt: skip
    """Return one row per horizon: how much more the first method loses, on the same steps."""
    found: list[dict[str, Any]] = []
    for own in group_rows(rows, "horizon"):
        pair = [own[np.asarray(own["method"]) == name] for name in (first, second)]
        key = "square" if statistic == "rmse" else "crps"
        losses = [_list_losses(one, levels)[key] for one in pair]
        draw = draw_blocks(len(pair[0]), block=block, n_draws=N_DRAWS, rng=rng)

        def measure(values: np.ndarray) -> np.ndarray:
            mean = values.mean(axis=-1)
            return np.sqrt(mean) if statistic == "rmse" else mean

        change = measure(losses[0][draw]) - measure(losses[1][draw])
        low, high = np.quantile(change, [0.025, 0.975])
        below, above = (
            (np.sum(side) + 1) / (len(change) + 1) for side in (change <= 0, change >= 0)
        )
        found.append({
            "horizon": own["horizon"][0], "n": len(pair[0]),
            "difference": float(measure(losses[0]) - measure(losses[1])), "error": change.std(),
            "low": low, "high": high, "p_value": min(1.0, 2 * min(below, above)),
            "better": "tie" if low <= 0 <= high else second if low > 0 else first,
        })  # fmt: skip
    return QTable(found)
