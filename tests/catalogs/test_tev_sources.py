"""Known TeV sources: every row with its reference, gaps masked, found by what is asked."""

import os
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astroml_kit.catalogs import list_tev_sources, read_catalog
from astroml_kit.cherenkov import read_known_sources

DATA = os.environ.get("ASTROML_KIT_DATA")
PER_AREA = u.Unit("cm-2 s-1")
BIBCODE = re.compile(r"^\d{4}[A-Za-z&]{3,5}[\w.&]{9,}[A-Z]$")


def test_every_row_has_a_reference_and_every_spectrum_one_of_its_own():
    table = list_tev_sources()
    assert len(table) == len(set(table["name"])) == 176
    odd = [ref for ref in table["reference"] if not (BIBCODE.match(ref) and len(ref) == 19)]
    assert sorted(odd) == ["Benbow (2011), 32nd ICRC", "de Lotto et al. (2011), TAUP 2011"]
    known = ~table["flux"].mask
    for name in ("flux_error", "index", "index_error", "spectrum", "flux_reference"):
        assert np.array_equal(~table[name].mask, known), name
    assert all(len(ref) == 19 for ref in table["flux_reference"].compressed())
    assert np.array_equal(table["discovered"].mask, table["discoverer"].mask)
    years = [int(when[:4]) for when in table["discovered"].compressed()]
    assert min(years) == 1989  # the Crab nebula, Weekes et al. 1989
    assert max(years) == 2018


def test_what_is_missing_is_masked_and_never_zero():
    table = list_tev_sources()
    for name in ("flux", "flux_error"):
        assert np.all(table[name].unmasked[~table[name].mask] > 0)
    for name in ("index", "index_error"):
        assert np.all(table[name].compressed() > 0)
    # zero is a size only where a point was fitted
    extension, shape = table["extension"], table["morphology"]
    assert np.array_equal(extension.mask | (extension.unmasked > 0), shape.filled("") != "point")
    assert table["name"][shape.mask].tolist().count("Centaurus A") == 1
    assert table["extension"].mask[table["name"] == "Westerlund 1"].all()


@pytest.mark.parametrize(
    ("name", "flux", "index", "year"),
    [
        # Aharonian et al. 2006, A&A 457, 899, table 6: 2.26 +- 0.08 above 1 TeV, index 2.39
        ("Crab Nebula", 2.26e-11, 2.39, "1989-07"),
        # Aharonian et al. 2005, A&A 435, L17: 5.7e-12 dN/dE at 1 TeV, index 2.27
        ("MSH 15-52", 5.7e-12 / 1.27, 2.27, "2005-05"),
        # HGPS, table A.9: what gamma-cat lacks
        ("HESS J1119-614", 0.917e-12, 2.64, "2009-07"),
    ],
)
def test_spectra_are_the_published_ones(name, flux, index, year):
    (row,) = list_tev_sources(name=name)
    assert row["flux"].unmasked.to_value(PER_AREA) == pytest.approx(flux, rel=0.01)
    assert row["index"] == pytest.approx(index, abs=0.01)
    assert row["discovered"] == year


def test_names_are_found_in_any_spelling():
    for name in ("Mrk 421", "markarian 421", "HESS J1514-591", "MSH15-52"):
        assert len(list_tev_sources(name=name)) == 1, name
    assert len(list_tev_sources(name="Vulcan")) == 0


def test_near_takes_one_position_or_several_and_sorts():
    galactic_centre = SkyCoord(0 * u.deg, 0 * u.deg, frame="galactic")
    found = list_tev_sources(near=galactic_centre, radius=1.5 * u.deg)
    separation = found["coord"].separation(galactic_centre)
    assert np.all(np.diff(found["separation"]) >= 0)
    np.testing.assert_allclose(found["separation"].to_value("deg"), separation.deg)
    whole = list_tev_sources()
    assert len(found) == np.sum(whole["coord"].separation(galactic_centre) <= 1.5 * u.deg) > 3
    both = SkyCoord([83.63, 329.72], [22.01, -30.23], unit="deg")
    names = list_tev_sources(near=both, radius=0.1 * u.deg)["name"].tolist()
    assert sorted(names) == ["Crab nebula", "Crab pulsar", "PKS 2155-304"]


def test_classes_and_fluxes_choose():
    blazars = list_tev_sources(source_class="blazar")
    assert set(",".join(blazars["source_class"]).split(",")) == {
        "hbl", "ibl", "lbl", "bll", "fsrq", "blazar",
    }  # fmt: skip
    assert len(list_tev_sources(source_class="agn")) > len(blazars) > 50
    shells = list_tev_sources(source_class="snr")
    assert "Tycho SNR" in shells["name"]
    assert "CTA 1" in shells["name"]  # of two classes, pwn and snr
    bright = list_tev_sources(min_flux=1e-11 / u.cm**2 / u.s)
    assert np.all(bright["flux"] >= 1e-7 / u.m**2 / u.s)
    assert not bright["flux"].mask.any()
    assert len(list_tev_sources(min_flux=0 * PER_AREA)) == 115
    assert "separation" not in bright.colnames


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near": SkyCoord(0, 0, unit="deg")}, "radius must be given together with near"),
        ({"radius": 1 * u.deg}, "radius must be given together with near"),
        ({"source_class": "quasar"}, "source_class must be one of"),
        ({"min_flux": 1e-12}, "min_flux must be a quantity in a unit like"),
        ({"min_flux": 1 * u.erg}, "min_flux must be a quantity in a unit like"),
        ({"min_flux": -1 * PER_AREA}, ">= 0"),
    ],
)
def test_questions_without_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        list_tev_sources(**options)


def test_circles_of_exclusion_are_of_the_same_list():
    circles, table = read_known_sources(), list_tev_sources()
    assert circles["name"].tolist() == table["name"].tolist()
    assert set(circles["morphology"]) == {"point", "gauss", "shell", "unknown"}
    unknown = table["extension"].mask
    np.testing.assert_allclose(circles["exclusion_radius"][unknown].to_value("deg"), 0.2)


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA to the folder of the data sets")
def test_the_list_agrees_with_its_origins():
    data = Path(DATA)
    origin = read_catalog(data / "gamma-cat" / "gammacat.ecsv", on_error="text")
    table = list_tev_sources()
    row = {name: k for k, name in enumerate(table["name"])}
    assert set(origin["common_name"]) <= set(row)
    ours = table[[row[name] for name in origin["common_name"]]]
    known = np.isfinite(origin["spec_flux_1TeV"])
    theirs = origin["spec_flux_1TeV"].to_value(PER_AREA)
    np.testing.assert_allclose(
        ours["flux"].unmasked.to_value(PER_AREA)[known], theirs[known], rtol=1e-3
    )
    gained = ~known & ~ours["flux"].mask
    assert set(ours["flux_reference"][gained]) == {"2018A&A...612A...1H"}
    with fits.open(data / "tev-catalogs" / "hgps_catalog_v1.fits.gz") as file:
        hgps = file[1].data
        flux = {name.strip(): value for name, value in
                zip(hgps["Source_Name"], hgps["Flux_Spec_Int_1TeV"], strict=True)}  # fmt: skip
    for source in ours[gained]:
        name = next(
            n for n in (source["name"], *str(source["other_names"]).split(",")) if n in flux
        )
        assert source["flux"].unmasked.to_value(PER_AREA) == pytest.approx(flux[name], rel=1e-3)
