"""Objects of NGC and IC: known values, gaps masked, and what is asked for and no more."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from astroml_kit.catalogs import list_ngc_objects, read_catalog

pytest.importorskip("pyongc", reason="needs pyongc: pip install 'astroml_kit[catalogs]'")
DATA = os.environ.get("ASTROML_KIT_DATA")


@pytest.fixture(scope="module")
def objects():
    return list_ngc_objects()


def test_the_whole_list(objects):
    assert len(objects) == len(set(objects["name"])) == 14033
    # seven numbers stand for nothing that was ever found again
    lost = np.isnan(objects["coord"].ra)
    assert set(objects["kind"][lost]) == {"NonEx"}
    assert objects["major_axis"].unit == u.arcmin
    assert objects["surface_brightness"].unit == u.mag / u.arcsec**2
    assert "CC BY-SA" in objects.meta["licence"]


@pytest.mark.parametrize(
    ("name", "kind", "v_mag", "redshift", "hubble_type", "position"),
    [
        # NED and SIMBAD: M 87, the Ring nebula, M 13
        ("NGC4486", "G", 8.6, 0.00428, "E", "12h30m49.4s +12d23m28s"),
        ("NGC6720", "PN", 8.8, None, None, "18h53m35.1s +33d01m45s"),
        ("NGC6205", "GCl", 5.8, None, None, "16h41m41.2s +36d27m36s"),
    ],
)
def test_known_objects(objects, name, kind, v_mag, redshift, hubble_type, position):
    (row,) = objects[objects["name"] == name]
    assert row["kind"] == kind
    assert float(row["v_mag"].unmasked.to_value("mag")) == pytest.approx(v_mag, abs=0.6)
    assert row["coord"].separation(SkyCoord(position)) < 10 * u.arcsec
    if redshift:
        assert row["redshift"] == pytest.approx(redshift, abs=1e-4)
        assert row["hubble_type"] == hubble_type
    else:
        assert np.ma.is_masked(row["hubble_type"])


def test_missing_values_are_masked_and_never_zero(objects):
    for name in ("major_axis", "b_mag", "k_mag", "parallax"):
        assert objects[name].mask.sum() > 100, name
        assert np.all(np.isnan(objects[name].unmasked[objects[name].mask]))
    assert np.ma.count_masked(objects["hubble_type"]) == np.sum(objects["hubble_type"].mask) > 3000
    assert np.all(objects["major_axis"].unmasked[~objects["major_axis"].mask] > 0)


def test_choices_are_made_of_the_whole_list(objects):
    pole = SkyCoord(0 * u.deg, 90 * u.deg)
    near = list_ngc_objects(near=pole, radius=5 * u.deg)
    assert len(near) == np.sum(objects["coord"].dec >= 85 * u.deg) > 5
    assert np.all(np.diff(near["separation"]) >= 0)
    clusters = list_ngc_objects(kind="GCl", max_magnitude=6)
    assert set(clusters["kind"]) == {"GCl"}
    assert {"NGC6205", "NGC5139", "NGC0104"} <= set(clusters["name"])
    assert 3 < len(clusters) < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near": SkyCoord(0, 0, unit="deg")}, "radius must be given together with near"),
        ({"near": SkyCoord(0, 0, unit="deg"), "radius": 3}, "radius must be an angle"),
        ({"kind": "galaxy"}, "kind must be one of"),
        ({"max_magnitude": np.nan}, "max_magnitude must be finite"),
    ],
)
def test_questions_without_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        list_ngc_objects(**options)


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA to the folder of the data sets")
def test_the_list_is_the_one_that_its_authors_publish(objects):
    origin = read_catalog(Path(DATA) / "openngc" / "NGC.csv", on_error="text")
    row = {name: k for k, name in enumerate(objects["name"])}
    ours = objects[[row[str(name)] for name in origin["Name"]]]
    placed = np.isfinite(ours["coord"].ra)
    assert np.array_equal(placed, np.isfinite(origin["coord"].ra))
    assert origin["coord"][placed].separation(ours["coord"][placed]).max() < 0.01 * u.arcsec
    assert [str(value) for value in origin["Hubble"].filled("")] == [
        str(value) for value in ours["hubble_type"].filled("")
    ]
    theirs = np.ma.asarray(origin["B-Mag"])
    assert np.array_equal(np.ma.getmaskarray(theirs), ours["b_mag"].mask)
    np.testing.assert_array_equal(
        theirs.compressed(), ours["b_mag"].unmasked.value[~ours["b_mag"].mask]
    )
