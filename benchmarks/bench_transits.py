"""Transit search: one planet in simulated curves of Kepler and in K2-3, against the peers."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable

import numpy as np
from harness import Comparison, compare, find_data, import_peer, main

from astroml_kit.lightcurves import (
    LightCurve,
    find_transits,
    flatten_transits,
    inject_transits,
    read_lightcurves,
    simulate_lightcurves,
)

PERIODS = (2.0, 30.0)  # days, the same for all
DURATIONS = (0.05, 0.08, 0.12, 0.18, 0.27)  # days, for the peer that wants to be told
NEAR = 1e-3  # relative difference of the periods
MOST_REPEATS = 3


def differ(ours: float, peer: float) -> float:
    """Relative difference of two periods."""
    return abs(ours / peer - 1)


def list_curves() -> Iterable[tuple[str, LightCurve]]:
    """A planet of 7.3 d in 80 d of half-hour points, and the first planet of K2-3."""
    star = simulate_lightcurves("constant", n=1, survey="kepler", random_state=1)
    star = inject_transits(star, period=7.3, radius_ratio=0.03, random_state=1)[0]
    yield "simulated", star.select(star.time.jd - star.time.jd[0] < 80)
    path = find_data("exoplanet-transits") / "k2_tls" / "EPIC201367065.csv"
    yield "K2-3", read_lightcurves(path, unit="", time_format="bkjd", time_scale="tdb")[0]


def run(*, repeats: int) -> list[Comparison]:
    """Give the peers a flat curve; ours takes the trend out, measures the candidate and doubts."""
    repeats = min(repeats, MOST_REPEATS)
    rows = []
    for name, star in list_curves():
        flat = flatten_transits(star, find_transits(star, n_planets=1))
        days, flux = flat.time.jd - flat.time.jd[0], flat.value.value

        def search(star: LightCurve = star) -> float:
            found = find_transits(star, period_min=PERIODS[0], period_max=PERIODS[1])
            return float(found["period"][0].value)

        for peer_name, peer in (("astropy", search_astropy), ("tls", prepare_tls())):
            rows.append(
                compare(
                    f"{name}, {len(star)} steps, 2 to 30 d", search,
                    lambda peer=peer, days=days, flux=flux: peer(days, flux),
                    peer_name=peer_name, tolerance=NEAR, repeats=repeats, difference=differ,
                )
            )  # fmt: skip
    return rows


def search_astropy(days: np.ndarray, flux: np.ndarray) -> float:
    """Period of astropy's box least squares, on a grid as fine as its shortest box asks for."""
    from astropy.timeseries import BoxLeastSquares

    box = BoxLeastSquares(days, flux)
    found = box.autopower(list(DURATIONS), minimum_period=PERIODS[0], maximum_period=PERIODS[1])
    return float(found.period[np.argmax(found.power)])


def prepare_tls() -> Callable[[np.ndarray, np.ndarray], float]:
    """Transit least squares on one thread, silent."""
    tls = import_peer("transitleastsquares")

    def search(days: np.ndarray, flux: np.ndarray) -> float:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found = tls.transitleastsquares(days, flux).power(
                period_min=PERIODS[0], period_max=PERIODS[1], use_threads=1,
                show_progress_bar=False,
            )  # fmt: skip
        return float(found.period)

    return search


if __name__ == "__main__":
    main(run)
