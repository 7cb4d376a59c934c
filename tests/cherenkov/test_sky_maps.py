"""Maps of toy fields with known truth: null, sources, exclusions, geometry anywhere on the sky."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from astroml_kit.cherenkov import Acceptance, SignificanceMap, fit_acceptance, map_significance

CENTRE = SkyCoord(201.365, -43.02, unit="deg")


def make_run(
    pointing,
    n_events,
    rng,
    *,
    obs_id=1,
    sources=(),
    sigma=1.1,
    tilt=(0.0, 0.0),
    spread=0.06,
    zenith=25.0,
    meta=None,
):
    """A run whose background is a Gaussian of the offset, tilted by exp(tilt . (east, north))."""
    x, y = rng.normal(0, sigma, (2, 2 * n_events))
    keep = (np.hypot(x, y) < 3) & (
        rng.random(2 * n_events) < 0.5 * np.exp(np.clip(tilt[0] * x + tilt[1] * y, None, 0.69))
    )
    frame = pointing.skyoffset_frame()
    sky = [SkyCoord(x[keep] * u.deg, y[keep] * u.deg, frame=frame).icrs]
    for position, counts in sources:
        n = rng.poisson(counts)
        dx, dy = rng.normal(0, spread, (2, n)) * u.deg
        sky.append(SkyCoord(dx, dy, frame=position.skyoffset_frame()).icrs)
    ra = np.concatenate([part.ra.deg for part in sky])
    dec = np.concatenate([part.dec.deg for part in sky])
    events = QTable(
        {
            "reco_ra": ra * u.deg,
            "reco_dec": dec * u.deg,
            "reco_energy": rng.pareto(1.7, len(ra)) * u.TeV + 0.3 * u.TeV,
        },
        meta=meta or {},
    )
    return SimpleNamespace(
        obs_id=obs_id,
        pointing=pointing,
        live_time=28 * u.min,
        zenith=zenith * u.deg,
        events=events,
    )


def make_field(rng, *, centre=CENTRE, n_runs=8, n_events=8000, wobble=0.5 * u.deg, **kwargs):
    angles = np.arange(n_runs) * 90 * u.deg
    return [
        make_run(centre.directional_offset_by(a, wobble), n_events, rng, obs_id=k, **kwargs)
        for k, a in enumerate(angles)
    ]


@pytest.mark.parametrize("background", ["ring", "reflected"])
def test_empty_fields_are_a_standard_normal(background):
    fits = []
    for seed in range(6):
        field = make_field(np.random.default_rng(100 + seed), n_events=20_000)
        result = map_significance(field, width=4 * u.deg, background=background)
        fits.append((result.null_fit.mean, result.null_fit.width))
    mean, width = np.mean(fits, axis=0)
    assert abs(mean) < 0.1
    assert 0.95 < width < 1.05


def test_a_source_is_found_excluded_and_still_in_the_map():
    rng = np.random.default_rng(2)
    where = CENTRE.directional_offset_by(40 * u.deg, 0.6 * u.deg)
    result = map_significance(make_field(rng, sources=[(where, 60)]), center=CENTRE)
    value, peak = result.peak
    assert value > 8
    assert peak.separation(where) < 0.05 * u.deg
    assert len(result.iterations) >= 2
    row, column = result._find_pixel(where)
    assert result.exclusion[row, column]
    assert np.isnan(result.significance_outside[row, column])
    assert 0.9 < result.null_fit.width < 1.1
    assert isinstance(result, SignificanceMap)
    assert isinstance(fit_acceptance(make_field(rng)), Acceptance)
