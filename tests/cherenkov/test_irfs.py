"""Responses: interpolated as the peer does it, integrated to one, drawn as tabulated."""

import numpy as np
import pytest
from astropy.io import fits

from astroml_kit.cherenkov import EventFileError, IRFs, read_irfs, read_observations

ENERGY = np.geomspace(0.1, 100, 31)
OFFSET = np.array([0.0, 0.5, 1.0, 2.0])
MIGRA = np.linspace(0.2, 3.0, 281)
RADIUS = np.linspace(0.0, 0.6, 121)
SIGMA = 0.05


def axis(name, edges, unit):
    low, high = (edges, edges) if name == "THETA" else (edges[:-1], edges[1:])
    return [
        fits.Column(f"{name}_{end}", f"{len(values)}E", unit, array=[values])
        for end, values in (("LO", low), ("HI", high))
    ]


def response(name, kind, axes, values, column, unit):
    shape = values.shape
    columns = [part for each in axes for part in axis(*each)]
    dim = "(" + ",".join(str(n) for n in reversed(shape)) + ")"
    columns.append(fits.Column(column, f"{values.size}E", unit, dim=dim, array=values[None]))
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    hdu.header.update({"HDUCLASS": "GADF", "HDUCLAS1": "RESPONSE", "HDUCLAS4": kind})
    return hdu


@pytest.fixture
def path(tmp_path):
    """Responses whose answers are known: area 1e5 E m2, a log-normal and a Gaussian."""
    energy = np.sqrt(ENERGY[:-1] * ENERGY[1:])
    area = 1e5 * energy[None, :] * np.exp(-OFFSET[:, None])
    area[3, :2] = -5.0
    migra = 0.5 * (MIGRA[:-1] + MIGRA[1:])
    density = np.exp(-0.5 * ((migra - 1.0) / 0.15) ** 2)
    matrix = np.broadcast_to(density[None, :, None], (4, len(migra), 30)).copy()
    matrix[:, :, :3] = 0.0  # no Monte Carlo at the lowest energies
    radius = 0.5 * (RADIUS[:-1] + RADIUS[1:])
    profile = np.exp(-0.5 * (radius / SIGMA) ** 2)
    psf = np.broadcast_to(profile[:, None, None], (len(radius), 4, 30)).copy()
    e, t = ("ENERG", ENERGY, "TeV"), ("THETA", OFFSET, "deg")
    hdus = [
        fits.PrimaryHDU(),
        response("AEFF", "AEFF_2D", [e, t], area, "EFFAREA", "m2"),
        response("EDISP", "EDISP_2D", [e, ("MIGRA", MIGRA, None), t], matrix, "MATRIX", None),
        response("PSF", "PSF_TABLE", [e, t, ("RAD", RADIUS, "deg")], psf, "RPSF", "sr-1"),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "irf.fits")
    return tmp_path / "irf.fits"


def test_negative_areas_are_clipped_and_counted(path):
    irfs = read_irfs(path)
    assert irfs.n_negative == 2
    assert irfs.aeff.values.min() == 0.0
    assert irfs.n_filled == {"edisp": 12, "psf": 0}
    assert "2 negative areas" in str(irfs)


def test_effective_area_at_nodes_and_outside(path):
    irfs = read_irfs(path)
    node = np.sqrt(ENERGY[10] * ENERGY[11])
    assert irfs.effective_area(node, 0.5) == pytest.approx(1e5 * node * np.exp(-0.5), rel=1e-5)
    assert irfs.effective_area([0.05, 200.0, 1.0], [0, 0, 2.1]).tolist() == [0, 0, 0]
    assert irfs.effective_area(np.ones((3, 1)), np.zeros(4)).shape == (3, 4)


def test_containments_follow_the_tabulated_shapes(path):
    from scipy.stats import norm

    irfs = read_irfs(path)
    radius = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.6, 5.0])
    expected = 1 - np.exp(-0.5 * (np.minimum(radius, 0.6) / SIGMA) ** 2)
    np.testing.assert_allclose(irfs.psf_containment(radius, 1.0, 0.3), expected, atol=2e-3)
    migra = np.array([0.7, 0.9, 1.0, 1.2, 1.5])
    np.testing.assert_allclose(
        irfs.edisp_containment(migra, 3.0, 1.4), norm.cdf(migra, 1.0, 0.15), atol=1e-3
    )


def test_simulated_events_follow_area_times_spectrum(path):
    irfs = read_irfs(path)
    # A ~ E, so events ~ E^(1 - 3) between 1 and 10 TeV: P(E < x) = (1 - 1/x) / 0.9.
    n = 40_000
    events = irfs.simulate_source(n, offset=0.0, index=3.0, energy_min=1, energy_max=10, rng=3)
    assert len(events) == n
    for x in (1.5, 3.0, 6.0):
        p = (1 - 1 / x) / 0.9
        assert np.mean(events.true_energy < x) == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / n))
    migra = events.reco_energy / events.true_energy
    assert migra.mean() == pytest.approx(1.0, abs=5 * 0.15 / np.sqrt(n))
    assert migra.std() == pytest.approx(0.15, rel=0.02)
    assert np.mean(events.separation**2) == pytest.approx(2 * SIGMA**2, rel=0.02)
    assert np.mean(np.exp(1j * events.position_angle)) == pytest.approx(0, abs=5 / np.sqrt(n))


def test_extension_adds_in_quadrature(path):
    irfs = read_irfs(path)
    events = irfs.simulate_source(40_000, offset=0.5, extension=0.1, rng=1)
    assert np.mean(events.separation**2) == pytest.approx(2 * (SIGMA**2 + 0.1**2), rel=0.02)


def test_expected_rate_is_the_integral(path):
    irfs = read_irfs(path)
    # Integral of 1e5 E E^-3 dE between 1 and 10 TeV; E is not straight in log E between nodes.
    rate = irfs.expected_rate(offset=0.0, index=3.0, energy_min=1.0, energy_max=10.0)
    assert rate == pytest.approx(1e5 * 0.9, rel=6e-3)
    assert irfs.expected_rate(offset=5.0, index=3.0) == 0.0


def test_same_seed_same_events(path):
    irfs = read_irfs(path)
    first, second = (irfs.simulate_source(100, offset=0.5, rng=9) for _ in range(2))
    np.testing.assert_array_equal(first.reco_energy, second.reco_energy)
    assert len(irfs.simulate_source(0, offset=0.5, rng=9)) == 0


def test_no_area_no_events(path):
    with pytest.raises(ValueError, match="effective area is > 0"):
        read_irfs(path).simulate_source(5, offset=9.0)
    with pytest.raises(ValueError, match="psf must be among the responses"):
        IRFs(source="x.fits").psf_containment(0.1, 1.0, 0.0)


def test_a_wrong_unit_is_refused(path):
    with fits.open(path, mode="update") as hdus:
        hdus["AEFF"].header["TUNIT5"] = "TeV"
    with pytest.raises(EventFileError, match="convertible to m2"):
        read_irfs(path)


def test_radial_background(tmp_path):
    energy = np.sqrt(ENERGY[:-1] * ENERGY[1:])
    rate = energy[None, :] ** -2.5 * np.exp(-OFFSET[:, None])
    hdu = response("BKG", "BKG_2D", [("ENERG", ENERGY, "TeV"), ("THETA", OFFSET, "deg")],
                   rate, "BKG", "s-1 TeV-1 sr-1")  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "bkg.fits")
    irfs = read_irfs(tmp_path / "bkg.fits")
    # Straight in log rate against log energy and offset, as this law is.
    expected = 2.0**-2.5 * np.exp(-1.0)
    assert irfs.background_rate(2.0, 0.6, 0.8) == pytest.approx(expected, rel=1e-4)
    assert irfs.background_rate(2.0, 3.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "ENERG_LO", "value": np.nan}, "must be rising edges"),
        ({"name": "THETA_HI", "value": -1.0}, "must be rising edges"),
        ({"name": "EFFAREA", "value": np.nan}, "EFFAREA must be finite"),
    ],
)
def test_damaged_tables_are_refused(path, change, words):
    with fits.open(path, mode="update") as hdus:
        hdus["AEFF"].data[change["name"]][0].flat[1] = change["value"]
    with pytest.raises(EventFileError, match=words):
        read_irfs(path)


def test_mutants_give_responses_or_one_error(path, tmp_path):
    whole = path.read_bytes()
    refused = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        starts = [whole.index(b"XTENSION", 1 + i) for i in rng.integers(0, len(whole) // 2, 3)]
        for start in starts:  # in the headers, where it matters
            data[start + rng.integers(0, 4000)] = rng.integers(256)
        mutant = tmp_path / "mutant.fits"
        mutant.write_bytes(data if seed % 4 else data[: rng.integers(len(data))])
        try:
            read_irfs(mutant)
        except EventFileError:
            refused += 1
    assert refused > 20


HESS_RUNS = (20136, 23523, 29683)


@pytest.fixture(scope="module")
def hess_pairs(data_folder):
    """Our responses and the peer's, for three runs."""
    pytest.importorskip("gammapy")
    from gammapy import irf

    kinds = {"aeff": irf.EffectiveAreaTable2D, "edisp": irf.EnergyDispersion2D,
             "psf": irf.PSF3D, "bkg": irf.Background3D}  # fmt: skip
    runs = read_observations(data_folder("hess-dl3-dr1"), obs_ids=HESS_RUNS)
    return [
        (run.read_irfs(), {k: peer.read(run.path, hdu=k.upper()) for k, peer in kinds.items()})
        for run in runs
    ]


@pytest.mark.data
def test_area_agrees_with_gammapy(hess_pairs):
    import astropy.units as u

    rng = np.random.default_rng(1)
    energy, offset = np.exp(rng.uniform(np.log(0.1), np.log(80), 500)), rng.uniform(0, 2.5, 500)
    for ours, peer in hess_pairs:
        theirs = peer["aeff"].evaluate(energy_true=energy * u.TeV, offset=offset * u.deg)
        np.testing.assert_allclose(
            ours.effective_area(energy, offset), theirs.to_value("m2"), rtol=1e-4, atol=1.0
        )


@pytest.mark.data
def test_containments_agree_with_gammapy(hess_pairs):
    import astropy.units as u

    for ours, peer in hess_pairs:
        for energy in (0.7, 2.0, 11.0):
            for offset in (0.5, 0.7, 1.2):
                theirs = peer["psf"].containment(
                    rad=[0.05, 0.11, 0.3] * u.deg, energy_true=energy * u.TeV, offset=offset * u.deg
                )
                mine = ours.psf_containment([0.05, 0.11, 0.3], energy, offset)
                np.testing.assert_allclose(mine, theirs.to_value("").squeeze(), atol=0.02)


@pytest.mark.data
def test_dispersion_agrees_with_gammapy(hess_pairs):
    import astropy.units as u

    step = 0.02
    for ours, peer in hess_pairs:
        for energy in (1.5, 4.0, 20.0):
            for offset in (0.5, 1.3):
                migra = np.arange(0.5, 1.6, step)
                cdf = ours.edisp_containment(migra, energy, offset)
                density = (
                    peer["edisp"]
                    .evaluate(
                        energy_true=energy * u.TeV,
                        migra=0.5 * (migra[1:] + migra[:-1]) * u.one,
                        offset=offset * u.deg,
                    )
                    .to_value("")
                    .squeeze()
                )
                np.testing.assert_allclose(np.diff(cdf) / step, density, atol=0.35, rtol=0.15)


@pytest.mark.data
def test_background_agrees_with_gammapy(hess_pairs):
    import astropy.units as u

    rng = np.random.default_rng(2)
    energy = np.exp(rng.uniform(np.log(0.5), np.log(20), 200))
    lon, lat = rng.uniform(-2, 2, (2, 200))
    for ours, peer in hess_pairs:
        theirs = (
            peer["bkg"]
            .evaluate(energy=energy * u.TeV, fov_lon=lon * u.deg, fov_lat=lat * u.deg)
            .to_value("s-1 TeV-1 sr-1")
        )
        mine = ours.background_rate(energy, lon, lat)
        np.testing.assert_allclose(mine, theirs, rtol=1e-3)


@pytest.mark.data
def test_drawn_energies_have_the_interpolated_dispersion(hess_pairs):
    ours, _ = hess_pairs[1]
    table = ours._get_cumulative("edisp")
    rng = np.random.default_rng(5)
    n = 20_000
    migra = table.sample(np.full(n, 1.37), np.full(n, 0.73), rng)
    grid = np.linspace(0.5, 1.5, 21)
    drawn = np.searchsorted(np.sort(migra), grid) / n
    np.testing.assert_allclose(drawn, table.evaluate(grid, 1.37, 0.73), atol=5 * 0.5 / np.sqrt(n))


@pytest.mark.data
def test_cta_responses_with_three_gaussians(data_folder):
    irf = pytest.importorskip("gammapy.irf")
    import astropy.units as u

    path = next(data_folder("cta-prod5-irfs").glob("*North*.fits.gz"))
    ours = read_irfs(path)
    assert {"aeff", "edisp", "psf", "bkg"} == {
        kind for kind in ("aeff", "edisp", "psf", "bkg") if getattr(ours, kind) is not None
    }
    peer = irf.EnergyDependentMultiGaussPSF.read(path, hdu="POINT SPREAD FUNCTION")
    for energy in (0.1, 1.0, 10.0):
        theirs = peer.containment(
            energy_true=energy * u.TeV, offset=1.0 * u.deg, rad=[0.03, 0.05, 0.1] * u.deg
        )
        mine = ours.psf_containment([0.03, 0.05, 0.1], energy, 1.0)
        np.testing.assert_allclose(mine, np.squeeze(theirs), atol=0.03)
    rate = irf.Background3D.read(path, hdu="BACKGROUND").evaluate(
        energy=1 * u.TeV, fov_lon=0.5 * u.deg, fov_lat=1.5 * u.deg
    )
    assert ours.background_rate(1.0, 0.5, 1.5) == pytest.approx(
        rate.to_value("s-1 TeV-1 sr-1"), rel=1e-3
    )
