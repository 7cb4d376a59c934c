"""One reader per product: what files say is kept, what they leave open asked, damage named."""

import gzip
import json
import os
import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import LightCurves, read_lightcurves, write_lightcurves

DATA = os.environ.get("ASTROML_KIT_DATA")
MISSIONS = {
    "Kepler": {"zero": 2454833, "key": "QUARTER", "flags": "SAP_QUALITY", "format": "bkjd"},
    "TESS": {"zero": 2457000, "key": "SECTOR", "flags": "QUALITY", "format": "btjd"},
}


def make_fits(path, mission="TESS", **changes):
    """A light curve of ten cadences as the missions write it: one gap, flags, one lost flux."""
    known = MISSIONS[mission]
    time = 1000 + np.arange(10) * 0.02
    time[3] = np.nan
    flux = np.full(10, 500.0, dtype=np.float32)
    flux[6] = np.nan
    flags = np.zeros(10, dtype=np.int32)
    flags[[1, 2]] = 128, 1  # a cosmic ray (Kepler) or manual exclude (TESS); an attitude tweak
    columns = [
        fits.Column(
            "TIME", "D", array=time, unit=changes.pop("time_unit", f"BJD - {known['zero']}")
        ),
        fits.Column("SAP_FLUX", "E", array=flux * 2, unit="e-/s"),
        fits.Column("SAP_FLUX_ERR", "E", array=np.full(10, 2.0), unit="e-/s"),
        fits.Column("PDCSAP_FLUX", "E", array=flux, unit=changes.pop("unit", "e-/s")),
        fits.Column("PDCSAP_FLUX_ERR", "E", array=np.ones(10), unit="e-/s"),
        fits.Column(known["flags"], "J", array=flags),
    ]
    drop = changes.pop("drop", ())
    table = fits.BinTableHDU.from_columns([c for c in columns if c.name not in drop])
    table.header.update(
        {"TIMESYS": "TDB", "BJDREFI": known["zero"], "BJDREFF": 0.0, "TIMEUNIT": "d",
         "TIMEREF": "SOLARSYSTEM", "TIMEDEL": 0.02}
    )  # fmt: skip
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"TELESCOP": mission, "OBJECT": "Star 7", known["key"]: 5, "RA_OBJ": 10.5, "DEC_OBJ": -3.0,
         "RADIUS": 1.2, "TEFF": 5800}
    )  # fmt: skip
    for key, value in changes.items():
        if value is None:
            del table.header[key]
        else:
            table.header[key] = value
    fits.HDUList([primary, table]).writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize(("mission", "n_flagged"), [("Kepler", 1), ("TESS", 2)])
def test_missions_say_their_times_units_flags_and_stars(tmp_path, mission, n_flagged):
    file = make_fits(tmp_path / "star_llc.fits", mission)
    curves = read_lightcurves(file)
    assert (curves.time_format, curves.time_scale) == (MISSIONS[mission]["format"], "tdb")
    assert curves.objects.meta["dropped"] == {"no time": 1}
    assert curves.objects.meta["masked"] == {"quality": n_flagged, "value not finite": 1}
    assert len(curves.time) == 9
    one = curves["star_llc"]
    assert one.value.unit == u.electron / u.s
    assert one.time.jd[0] == MISSIONS[mission]["zero"] + 1000
    assert one.meta["target"] == "Star 7"
    assert (one.meta["ra"], one.meta["dec"], one.meta["radius"]) == (10.5, -3.0, 1.2)
    assert one.meta["segment"] == {"Kepler": "Q5", "TESS": "S5"}[mission]
    assert one.meta["time_reference"] == "barycentric"
    assert np.nanmax(read_lightcurves(file, flux="sap").value) == 1000
    assert read_lightcurves(file, quality="none").n_masked == 1
    assert read_lightcurves(file, quality="any").n_masked == 3
    assert read_lightcurves(file, quality=1).n_masked == 2
    in_jd = read_lightcurves(file, time_format="jd", unit="electron / h")
    np.testing.assert_allclose(in_jd.time, one.time.jd, atol=1e-8)
    assert np.nanmax(in_jd.value) == pytest.approx(500 * 3600)


def test_a_suffix_decides_nothing(tmp_path):
    file = make_fits(tmp_path / "curve.csv")
    whole = read_lightcurves(file)
    (tmp_path / "packed.dat").write_bytes(gzip.compress(file.read_bytes()))
    np.testing.assert_array_equal(read_lightcurves(tmp_path / "packed.dat").value, whole.value)
    (tmp_path / "t.fits").write_text("mjd,mag\n1,2\n")
    with pytest.raises(ValueError, match=r"t\.fits must be one of FITS, Parquet"):
        read_lightcurves(tmp_path / "t.fits", time_scale="utc")
    (tmp_path / "t.txt").write_text("mjd;mag\n1;2\n")
    assert len(read_lightcurves(tmp_path / "t.txt", time_scale="utc").time) == 1


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"TIMESYS": None}, {}, "time_scale must be said for x.fits"),
        ({"TIMESYS": "LOCAL"}, {}, "time_scale must be one of"),
        ({}, {"time_scale": "utc"}, "time_scale must be 'tdb', as x.fits says, got 'utc'"),
        ({"unit": "bananas"}, {}, "unit must be one that astropy knows, got 'bananas' in x.fits"),
        ({"unit": None}, {}, "unit must be said for x.fits"),
        ({}, {"flux": "psf"}, "flux must be a column of x.fits, got 'psf'; it has"),
        ({"drop": ["TIME"]}, {}, "must have a table with a column called one of"),
        ({"drop": ["SAP_FLUX", "PDCSAP_FLUX"]}, {}, "flux must be a column of x.fits, got None"),
        ({"BJDREFI": None, "time_unit": "d"}, {}, "time_format must be said for x.fits"),
        ({}, {"unit": "Jy"}, "unit must be 'Jy' or convert to it, got 'electron / s'"),
    ],
)
def test_fits_says_what_it_lacks(tmp_path, changes, options, message):
    file = make_fits(tmp_path / "x.fits", **changes)
    with pytest.raises(ValueError, match=message):
        read_lightcurves(file, **options)


def test_what_fits_lacks_can_be_said(tmp_path):
    file = make_fits(tmp_path / "x.fits", unit="bananas", TIMESYS=None)
    curves = read_lightcurves(file, unit="ct / s", time_scale="tdb")
    assert curves.unit == "ct / s"
    assert read_lightcurves(make_fits(tmp_path / "z.fits", BJDREFI=None)).time_format == "btjd"
    file = make_fits(tmp_path / "y.fits", BJDREFI=None, time_unit="d")
    assert read_lightcurves(file, time_format="btjd").time[0] == 1000


@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
def test_truncated_fits_is_named(tmp_path, part):
    data = make_fits(tmp_path / "x.fits").read_bytes()
    (tmp_path / "x.fits").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match=r"x\.fits must"):
        read_lightcurves(tmp_path / "x.fits")


def test_other_fits_tables_count_from_their_own_zero(tmp_path):
    seconds = fits.BinTableHDU.from_columns(
        [fits.Column("TIME", "D", array=[0.0, 86400.0], unit="s"),
         fits.Column("RATE", "D", array=[1.0, 2.0], unit="count/s"),
         fits.Column("ERROR", "D", array=[0.1, 0.1], unit="count/s")]
    )  # fmt: skip
    seconds.header.update({"MJDREFI": 51910, "MJDREFF": 7.428703703703703e-4, "TIMESYS": "TT"})
    fits.HDUList([fits.PrimaryHDU(), seconds]).writeto(tmp_path / "rate.fits")
    curves = read_lightcurves(tmp_path / "rate.fits")
    assert (curves.time_format, curves.time_scale, curves.unit) == ("mjd", "tt", "ct / s")
    np.testing.assert_allclose(curves.time, [51910.000742870, 51911.000742870], atol=1e-9)
    assert curves.error.tolist() == [0.1, 0.1]


def make_pixels(path, flux):
    """A TESS target-pixel file of 3 x 3 pixels, the middle row its aperture."""
    n = len(flux)
    cube = {"FLUX": flux, "FLUX_ERR": np.ones_like(flux), "RAW_CNTS": flux.astype(int),
            "FLUX_BKG": np.zeros_like(flux), "FLUX_BKG_ERR": np.zeros_like(flux)}  # fmt: skip
    columns = [
        fits.Column("TIME", "D", array=1000 + np.arange(n) * 0.02, unit="BJD - 2457000, days"),
        fits.Column("TIMECORR", "E", array=np.zeros(n)),
        fits.Column("CADENCENO", "J", array=np.arange(n)),
        *(fits.Column(name, "9J" if name == "RAW_CNTS" else "9E", array=part, dim="(3,3)",
                      unit="e-/s") for name, part in cube.items()),
        fits.Column("QUALITY", "J", array=np.array([0, 1, *[0] * (n - 2)])),
        fits.Column("POS_CORR1", "E", array=np.zeros(n)),
        fits.Column("POS_CORR2", "E", array=np.zeros(n)),
    ]  # fmt: skip
    table = fits.BinTableHDU.from_columns(columns, name="PIXELS")
    table.header.update({"TIMESYS": "TDB", "BJDREFI": 2457000, "BJDREFF": 0.0, "TIMEUNIT": "d",
                         "1CRV5P": 1, "2CRV5P": 1})  # fmt: skip
    aperture = np.ones((3, 3), dtype=np.int32)
    aperture[1] = 3
    primary = fits.PrimaryHDU()
    primary.header.update({"TELESCOP": "TESS", "OBJECT": "Star 9", "TICID": 9, "SECTOR": 2,
                           "CAMERA": 1, "CCD": 1, "RA_OBJ": 1.0, "DEC_OBJ": 2.0})  # fmt: skip
    fits.HDUList([primary, table, fits.ImageHDU(aperture, name="APERTURE")]).writeto(path)
    return path


def test_pixels_are_summed_over_the_aperture(tmp_path):
    pytest.importorskip("lightkurve", reason="pip install 'astroml_kit[lightcurves]'")
    flux = np.random.default_rng(1).uniform(1, 2, (6, 3, 3)).astype(np.float32)
    curves = read_lightcurves(make_pixels(tmp_path / "star_tp.fits", flux))
    np.testing.assert_allclose(curves.value, flux[:, 1].sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(curves.error, np.sqrt(3), rtol=1e-6)
    assert curves.mask.tolist() == [False, True, False, False, False, False]
    assert (curves.time_format, curves.unit) == ("btjd", "electron / s")
    assert curves[0].meta["target"] == "Star 9"


def test_pixels_without_lightkurve_say_how_to_get_it(tmp_path, monkeypatch):
    file = make_pixels(tmp_path / "star_tp.fits", np.ones((4, 3, 3), dtype=np.float32))
    monkeypatch.setitem(sys.modules, "lightkurve", None)
    with pytest.raises(ImportError, match=r"lightkurve is needed.*astroml_kit\[lightcurves\]"):
        read_lightcurves(file)


ASAS = """#ndata= 5
#dataset= 1 ; 1 F0936-32_174
#desig= 090432-3222.8
#cra= 9.075530 09:04:31.9
#ra= 9.000000 09:00:00.0
#dec= -32.380552 -32:22:50.0
#    HJD      MAG_0  MAG_1   MER_0 MER_1 GRADE FRAME
 2545.87630  13.097 13.044  0.036 0.031 A 20277
 2556.88137  29.999 29.999  0.061 0.051 C 21798
 2628.76277  12.648 12.558  0.034 0.029 D 33021
#dataset= 2 ; 1 F0912-32_1
#    HJD      MAG_1  MAG_0   MER_1 MER_0 GRADE FRAME
 2500.50000  13.000 13.100  0.010 0.020 B 1
"""


def test_asas_has_fields_apertures_and_grades(tmp_path):
    (tmp_path / "s.dat").write_text(ASAS)
    curves = read_lightcurves(tmp_path / "s.dat", time_scale="utc")
    np.testing.assert_allclose(
        curves.time, np.array([2500.0, 2545.3763, 2556.38137, 2628.26277]) + 5e4
    )
    assert curves.value[[0, 1, 3]].tolist() == [13.1, 13.097, 12.648]
    assert curves.mask.tolist() == [False, False, True, True]
    assert curves.objects.meta["masked"] == {"quality": 1, "value not finite": 1}
    assert (curves.time_format, curves.unit) == ("mjd", "mag")
    star = curves[0]
    assert star.meta["target"] == "090432-3222.8"
    assert (star.meta["ra"], star.meta["time_reference"]) == (135.0, "heliocentric")
    wide = read_lightcurves(tmp_path / "s.dat", time_scale="utc", aperture=1, quality="any")
    assert wide.value[0] == 13.0
    assert wide.mask.tolist() == [True, False, True, True]
    with pytest.raises(ValueError, match="must have HJD, MAG_3, MER_3 and GRADE in every row"):
        read_lightcurves(tmp_path / "s.dat", time_scale="utc", aperture=3)
    with pytest.raises(ValueError, match=r"time_scale must be said for s\.dat"):
        read_lightcurves(tmp_path / "s.dat")


@pytest.mark.parametrize(
    ("text", "time_format", "mjd"),
    [
        ("2455260.85336 18.104 0.005\n2455261.5 18.2 0.006\n", "jd", 55260.35336),  # OGLE
        ("  5260.85336\t18.104  0.005\n  5261.5 18.2 0.006 \r\n", "jd-2450000", 55260.35336),
        ("# MJD mag err\n55260.5 18.1 0.1\n", None, 55260.5),
        ("# A 21\n7517.0   1.98   0.08\n", "jd-2440000", 47516.5),  # AGN Watch
        ("\ufeffBJD,mag\n2455260.5,18\n", None, 55260.0),
    ],
)
def test_columns_of_text_need_no_header(tmp_path, text, time_format, mjd):
    (tmp_path / "OGLE-1.dat").write_text(text)
    curves = read_lightcurves(
        tmp_path / "OGLE-1.dat", time_format=time_format, time_scale="utc", unit="mag"
    )
    assert curves.names.tolist() == ["OGLE-1"]
    assert curves[0].time.mjd[0] == pytest.approx(mjd, abs=1e-9)
    if "18.104" in text:
        assert curves.error.tolist() == [0.005, 0.006]


def test_many_columns_without_header_are_asked_for(tmp_path):
    (tmp_path / "x.dat").write_text("1 2 3 4\n")
    options = {"time_format": "mjd", "time_scale": "utc", "unit": "mag"}
    with pytest.raises(ValueError, match=r"it has \['col1', 'col2', 'col3', 'col4'\]"):
        read_lightcurves(tmp_path / "x.dat", **options)
    columns = {"col2": "time", "col4": "value"}
    curves = read_lightcurves(tmp_path / "x.dat", columns=columns, **options)
    assert (curves.time.tolist(), curves.value.tolist()) == ([2.0], [4.0])


LCR = """"Date(UTC)","Julian Date","MET","TS","Photon Flux [0.1-100 GeV](photons cm-2 s-1)",\
"Photon Flux Error(photons cm-2 s-1)","Photon Index","MINUIT Return Code"
"Aug 08 2008","2454687","239889601","82.29","3.03e-7","5.30e-8","-2.61","0"
"Aug 15 2008","2454694","240494401","1.2","< 1.16e-7","-","-","0"
"Aug 22 2008","2454701","241099201","-","-","-","-","0"
"Sep 05 2008","2454715","241099201","9.1","2.0e-7","4e-8","-2.6","3"
"""


def test_lcr_has_limits_gaps_and_fits_that_failed(tmp_path):
    file = tmp_path / "4FGL_J1229.0+0202_weekly_12_23_2024.csv"
    file.write_text(LCR)
    curves = read_lightcurves(file)
    assert (curves.time_format, curves.time_scale) == ("jd", "utc")
    assert u.Unit(curves.unit) == u.Unit("ph / (cm2 s)")
    assert curves.limit.tolist() == [False, True, False, False]
    assert curves.mask.tolist() == [False, True, True, True]
    assert curves.value[1] == 1.16e-7
    assert curves.objects.meta["masked"] == {"limit": 1, "quality": 1, "value not finite": 1}
    assert "1 upper limits" in str(curves)
    meta = curves[0].meta
    assert (meta["target"], meta["limit_confidence"], meta["bin_days"]) == (
        "4FGL J1229.0+0202", 0.95, 7.0,
    )  # fmt: skip
    assert read_lightcurves(file, quality="none").n_masked == 2
    with pytest.raises(ValueError, match=r"flux must be one of \['photon'\]"):
        read_lightcurves(file, flux="energy")
    file.write_text(LCR.replace("2.0e-7", "high"))
    with pytest.raises(ValueError, match=r"value must be numbers in .*, got 'high' in row 4"):
        read_lightcurves(file)
    file.write_text(LCR.replace("2.0e-7", "> 2.0e-7"))
    with pytest.raises(ValueError, match="value must not be lower limits"):
        read_lightcurves(file)


ZTF = """oid,hjd,mjd,mag,magerr,catflags,filtercode,ra,dec
11,2458268.96,58268.46,14.7,0.01,0,zg,1.5,20.2
11,2458269.96,58269.46,14.8,0.01,32768,zg,1.5,20.2
12,2458268.90,58268.40,14.1,0.01,2,zr,1.5,20.2
"""


def test_ztf_objects_are_filters_of_a_star(tmp_path):
    (tmp_path / "star.csv").write_text(ZTF)
    curves = read_lightcurves(tmp_path / "star.csv")
    assert curves.names.tolist() == [11, 12]
    assert (curves.time_format, curves.time_scale, curves.bands) == ("mjd", "utc", ("zg", "zr"))
    assert curves.mask.tolist() == [False, True, False]
    assert curves["12"].meta["ra"] == 1.5
    star = read_lightcurves(tmp_path / "star.csv", names="file", quality="any")
    assert star.names.tolist() == ["star"]
    assert star.n_masked == 2
    Table.read(tmp_path / "star.csv").to_pandas().to_parquet(tmp_path / "star.parquet")
    again = read_lightcurves(tmp_path / "star.parquet")
    np.testing.assert_array_equal(again.mask, curves.mask)
    np.testing.assert_array_equal(again.time, curves.time)


def test_magnitudes_fainter_than_a_limit(tmp_path):
    (tmp_path / "asassn.csv").write_text(
        "HJD,UT Date,Camera,Limit,mag,mag_err,flux(mJy),flux_err,Filter\n"
        "2458019.9,2017-09-23.39,bd,16.3,14.295,0.034,7.3,0.2,V\n"
        "2458064.8,2017-11-07.30,bt,14.5,>14.492,99.990,5.4,1.1,g\n"
    )
    curves = read_lightcurves(tmp_path / "asassn.csv", time_scale="utc")
    assert curves.limit.tolist() == [False, True]
    assert curves.value[1] == 14.492
    assert curves[0].meta["time_reference"] == "heliocentric"
    columns = {"flux(mJy)": "value", "flux_err": "error"}
    flux = read_lightcurves(tmp_path / "asassn.csv", time_scale="utc", columns=columns)
    assert (flux.unit, flux.n_masked, flux.error.tolist()) == ("mJy", 0, [0.2, 1.1])


VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>
<TIMESYS ID="frame" refposition="BARYCENTER" timeorigin="{origin}" timescale="{scale}"/>
<TABLE><PARAM name="period" datatype="double" unit="d" value="2.5"/>
<FIELD name="obs_time" ucd="time.epoch" datatype="double" unit="{unit}" {ref}/>
<FIELD name="phot" ucd="phot.mag;em.opt.V" datatype="double" unit="{value_unit}"/>
<FIELD name="phot_error" ucd="stat.error;phot.mag;em.opt.V" datatype="double" unit="mag"/>
<FIELD name="filt" ucd="instr.bandpass" datatype="char" arraysize="*"/>
<DATA><TABLEDATA>
<TR><TD>{first}</TD><TD>15.0</TD><TD>0.1</TD><TD>V</TD></TR>
<TR><TD>{second}</TD><TD></TD><TD>0.1</TD><TD>V</TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""
VO = {"origin": "2457000.5", "scale": "TDB", "unit": "d", "ref": 'ref="frame"',
      "value_unit": "mag", "first": 10.0, "second": 11.0}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "time_format", "mjd"),
    [
        ({}, "mjd", 57010.0),
        ({"origin": "MJD-origin"}, "mjd", 10.0),
        ({"origin": "JD-origin", "first": 2457001.0, "second": 2457002.0}, "jd", 57000.5),
        ({"origin": "2457000.0"}, "btjd", 57009.5),
        ({"unit": "h", "first": 240.0, "second": 264.0}, "mjd", 57010.0),
    ],
)
def test_vo_tables_say_where_times_begin(tmp_path, changes, time_format, mjd):
    (tmp_path / "v.xml").write_text(VOTABLE.format(**VO | changes))
    curves = read_lightcurves(tmp_path / "v.xml")
    assert (curves.time_format, curves.time_scale, curves.bands) == (time_format, "tdb", ("V",))
    assert curves[0].time.mjd[0] == pytest.approx(mjd, abs=1e-9)
    assert curves.objects.meta["masked"] == {"value not finite": 1}
    assert curves.error.tolist() == [0.1, 0.1]
    assert (curves[0].meta["period"], curves[0].meta["time_reference"]) == (2.5, "barycentric")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ref": ""}, "time_scale must be said for v.xml"),
        ({"scale": "UNKNOWN"}, "time_scale must be said for v.xml"),
        ({"value_unit": "bananas"}, "unit must be one that astropy knows, got 'bananas'"),
    ],
)
def test_vo_tables_say_what_they_lack(tmp_path, changes, message):
    (tmp_path / "v.xml").write_text(VOTABLE.format(**VO | changes))
    with pytest.raises(ValueError, match=message):
        read_lightcurves(tmp_path / "v.xml")


def test_broken_vo_tables_are_named(tmp_path):
    whole = VOTABLE.format(**VO)
    for text in (
        whole[: len(whole) // 2],
        whole[: whole.index("<TABLE>")] + "</RESOURCE></VOTABLE>",
    ):
        (tmp_path / "v.xml").write_text(text)
        with pytest.raises(ValueError, match=r"v\.xml must"):
            read_lightcurves(tmp_path / "v.xml")


def test_ecsv_keeps_time_scale_and_unit(tmp_path):
    time = Time([57001.5, 57000.25], format="mjd", scale="tt")
    table = QTable({"time": time, "flux": [1.0, 2.0] * u.mJy, "flux_err": [0.1, 0.1] * u.mJy})
    table.meta["ra"] = 12.5
    table.write(tmp_path / "a.ecsv")
    curves = read_lightcurves(tmp_path / "a.ecsv")
    assert (curves.unit, curves.time_scale, curves.time.tolist()) == (
        "mJy",
        "tt",
        [57000.25, 57001.5],
    )
    assert curves.value.tolist() == [2.0, 1.0]
    assert curves[0].meta["ra"] == 12.5
    Table({"mjd": [57001.5], "mag": [15.0]}).write(tmp_path / "b.tbl", format="ascii.ipac")
    assert read_lightcurves(tmp_path / "b.tbl", time_scale="utc").value.tolist() == [15.0]
    (tmp_path / "a.ecsv").write_text((tmp_path / "a.ecsv").read_text()[:40])
    with pytest.raises(ValueError, match=r"a\.ecsv must be a whole ECSV table"):
        read_lightcurves(tmp_path / "a.ecsv")


def test_json_lists_are_steps_and_the_rest_is_known(tmp_path):
    content = {"star_id": "K2-18", "label": "planet", "time": [0.0, None, 0.5], "flux": [1, 2, 3.0]}
    (tmp_path / "k.json").write_text(json.dumps(content))
    curves = read_lightcurves(tmp_path / "k.json", time_format="bkjd", time_scale="tdb", unit="")
    assert curves.value.tolist() == [1.0, 3.0]
    assert curves.objects.meta["dropped"] == {"no time": 1}
    assert dict(curves[0].meta) == {"label": "planet", "target": "K2-18"}
    assert "no unit" in str(curves)
    for text, message in (
        ('{"time": [1, 2], "flux": [1]}', "must be an object with lists of one length"),
        ('{"time": [1, 2', "must be whole JSON"),
        ("[1, 2]", "must be an object with lists"),
    ):
        (tmp_path / "k.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_lightcurves(tmp_path / "k.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold light curves, got an empty file"),
        ("# a comment\n", "must hold a table, got an empty file"),
        ("mjd,mag\n", "must hold steps, got a header alone"),
        ("mjd,mag,mag\n1,2,3\n", r"must have every column once, got \['mag'\]"),
        ("mjd,mag\n1,2\n3\n", "must be a whole table"),
        ("mjd,mag,magerr\n1,2,small\n", "error must be numbers in x.csv, got 'small' in row 1"),
        ("mjd,mag\nnan,2\n,3\n", "must hold steps with a time, got 2 without"),
        ("mjd,mag,flux\n1,2,3\n", r"value must be one column, got \['mag', 'flux'\]"),
        ("mjd,flux\n1,2\n", "unit must be said for x.csv, got None"),
        ("mjd,flux [bananas]\n1,2\n", r"lacks the columns \['value'\]"),
        ("hello world\n", "must hold steps, got a header alone"),
        ("\x00\x01\x02\x03", "must be one of FITS, Parquet, VO table"),
        ("PAR1 and then nothing", "must be a whole Parquet file"),
        ("SIMPLE  =                    T", "x.csv must"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_lightcurves(tmp_path / "x.csv", time_scale="utc")


def test_gaps_in_a_table_are_counted(tmp_path):
    (tmp_path / "x.csv").write_text(
        "mjd,mag,magerr,band\n1,15,0.1,g\n,15,0.1,g\n3,-,0.1,\n4,15,0,r\n5,15,nan,r\n"
    )
    curves = read_lightcurves(tmp_path / "x.csv", time_scale="utc")
    assert curves.objects.meta["dropped"] == {"no time": 1}
    assert curves.objects.meta["masked"] == {"value not finite": 1, "no error above 0": 2}
    assert curves.n_masked == 3
    assert curves.bands == ("", "g", "r")


def test_dates_are_times(tmp_path):
    (tmp_path / "x.csv").write_text("time,mag\n2018-01-01T12:00:00,15\n2018-01-02 00:00:00,16\n")
    curves = read_lightcurves(tmp_path / "x.csv", time_scale="utc")
    np.testing.assert_allclose(curves.time, [58119.5, 58120.0], atol=1e-9)


def test_folders_may_be_mixed(tmp_path):
    make_fits(tmp_path / "a_kepler.fits", "Kepler")
    make_fits(tmp_path / "b_tess.fits", "TESS")
    make_fits(tmp_path / "c_utc.fits", "TESS", TIMESYS="UTC")
    (tmp_path / "d_table.csv").write_text("mjd,mag\n58000,15\n")
    (tmp_path / "e_readme.md").write_text("# Title\n\nSome words, and more words.\nThe end.\n")
    (tmp_path / "f_broken.fits").write_bytes(b"SIMPLE  =  and no more")
    (tmp_path / ".hidden").write_text("nothing")
    curves = read_lightcurves(tmp_path)
    assert curves.names.tolist() == ["a_kepler", "b_tess"]
    assert curves.objects.meta["readers"] == {"kepler": 1, "tess": 1}
    skipped = curves.objects.meta["skipped"]
    assert set(skipped) == {"c_utc.fits", "d_table.csv", "e_readme.md", "f_broken.fits"}
    assert "time_scale must be 'tdb' as in the other files, got 'utc'" in skipped["c_utc.fits"]
    assert "time_scale must be said" in skipped["d_table.csv"]
    assert curves.time_format == "bkjd"
    assert curves["b_tess"].time.jd[0] == 2458000  # TESS days, counted from Kepler's zero
    several = read_lightcurves([tmp_path / "b_tess.fits", tmp_path / "f_broken.fits"])
    assert several.names.tolist() == ["b_tess"]
    none = tmp_path / "none"
    none.mkdir()
    with pytest.raises(ValueError, match="path must be a folder with files, got"):
        read_lightcurves(none)
    (none / "x.csv").write_text("nothing here\n")
    with pytest.raises(ValueError, match=r"must hold readable files, got none: x\.csv: "):
        read_lightcurves(none)
    with pytest.raises(FileNotFoundError):
        read_lightcurves(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="path must be one file or more"):
        read_lightcurves([])


def test_files_that_lack_a_column_do_not_take_it_from_the_others(tmp_path):
    (tmp_path / "a.csv").write_text("mjd,mag,magerr,band,ra\n1,15,0.1,g,3.5\n")
    (tmp_path / "b.csv").write_text("mjd,mag\n2,16\n")
    curves = read_lightcurves(tmp_path, time_scale="utc")
    assert curves.objects.meta["masked"] == {"no error above 0": 1}
    assert curves.mask.tolist() == [False, True]
    assert curves["b"].band.tolist() == [""]
    assert np.isnan(curves["b"].meta["ra"])
    assert curves["a"].meta["ra"] == 3.5


def test_one_object_in_two_files_is_one_object(tmp_path):
    (tmp_path / "1.csv").write_text("oid,mjd,mag\n7,3,15\n5,1,14\n")
    (tmp_path / "2.csv").write_text("oid,mjd,mag\n7,1,16\n9,1,17\n")
    curves = read_lightcurves(tmp_path, time_scale="utc")
    assert curves.names.tolist() == [5, 7, 9]
    assert curves["7"].value.value.tolist() == [16.0, 15.0]
    assert len(read_lightcurves(tmp_path, time_scale="utc", names="file")) == 2


def test_nested_parquet_of_others(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    steps = {
        "mjd": [[2.0, 1.0], [5.0]],
        "mag": [[14.0, 14.5], [12.0]],
        "magerr": [[0.1, 0.1], [0.2]],
    }
    outer = {"objectid": ["b", "a"], "ra": [1.5, 2.5]}
    struct = pa.StructArray.from_arrays([pa.array(v) for v in steps.values()], names=list(steps))
    rows = [
        [{k: v[i][j] for k, v in steps.items()} for j in range(len(steps["mjd"][i]))]
        for i in range(2)
    ]
    layouts = {
        "struct of lists": {**outer, "lc": struct},
        "lists of structs": {**outer, "lc": pa.array(rows)},
        "lists": {**outer, **steps},
    }
    for layout in layouts.values():
        pq.write_table(pa.table(layout), tmp_path / "n.parquet")
        curves = read_lightcurves(tmp_path / "n.parquet", time_scale="utc")
        assert curves["b"].value.value.tolist() == [14.5, 14.0]
        assert curves["a"].error.value.tolist() == [0.2]
        assert curves["a"].meta["ra"] == 2.5
    uneven = {**outer, **steps, "mag": [[14.0], [12.0]]}
    pq.write_table(pa.table(uneven), tmp_path / "n.parquet")
    with pytest.raises(ValueError, match=r"lists of one length in a row, got others in \['mag'\]"):
        read_lightcurves(tmp_path / "n.parquet", time_scale="utc")
    pq.write_table(pa.table({"lc": struct}), tmp_path / "n.parquet")
    with pytest.raises(ValueError, match="must have a column that names its objects"):
        read_lightcurves(tmp_path / "n.parquet", time_scale="utc")


def test_own_files_join_others(tmp_path):
    whole = LightCurves.from_columns(
        name=["z", "z"], time=[1.0, 2.0], value=[1.0, 2.0], band=["g", "r"], limit=[0, 1],
        unit="mag", time_format="mjd", time_scale="utc",
    )  # fmt: skip
    write_lightcurves(whole, tmp_path / "own.parquet")
    (tmp_path / "a.csv").write_text("mjd,mag\n1,15\n")
    curves = read_lightcurves(tmp_path, time_scale="utc")
    assert curves.names.tolist() == ["a", "z"]
    assert curves["z"].limit.tolist() == [False, True]
    assert curves["z"].band.tolist() == ["g", "r"]


def test_own_files_are_converted_when_asked(tmp_path):
    curves = LightCurves.from_columns(
        name=["a"], time=[58000.0], value=[1.0], error=[0.1], unit="Jy", time_format="mjd",
        time_scale="utc",
    )  # fmt: skip
    path = write_lightcurves(curves, tmp_path / "c.parquet")
    asked = read_lightcurves(path, unit="mJy", time_format="jd")
    assert (asked.value[0], asked.error[0], asked.time[0]) == (1000.0, 100.0, 2458000.5)
    with pytest.raises(ValueError, match="unit must be 'mag' or convert to it, got 'Jy'"):
        read_lightcurves(path, unit="mag")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    curves = LightCurves.from_columns(
        name=["a", "b"], time=[1.0, 2.0], value=[1.0, 2.0], error=[0.1, 0.1], band=["g", "r"],
        unit="mag", time_format="mjd", time_scale="utc",
    )  # fmt: skip
    QTable({"time": [1.0, 2.0], "mag": [1.0, 2.0]}).write(folder / "e.ecsv")
    return {
        "fits": make_fits(folder / "a.fits").read_bytes(),
        "parquet": write_lightcurves(curves, folder / "c.parquet").read_bytes(),
        "ecsv": (folder / "e.ecsv").read_bytes(),
        "json": json.dumps({"time": [1.0, 2.0], "flux": [1.0, 2.0], "label": "x"}).encode(),
        "asas": ASAS.encode(),
        "lcr": LCR.encode(),
        "ztf": ZTF.encode(),
        "votable": VOTABLE.format(**VO).encode(),
    }


@pytest.mark.filterwarnings("ignore")  # astropy warns of headers that are strange
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_is_read_or_named_and_nothing_else(tmp_path, samples, data):
    kind = data.draw(st.sampled_from(sorted(samples)))
    content = bytearray(samples[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        n = data.draw(st.sampled_from([1, 1, 1, 20, len(content)]))
        content[at : at + n] = data.draw(st.sampled_from([b"", b"\x00", b"9", b",", b" ", b"\xff"]))
    (tmp_path / "x").write_bytes(bytes(content))
    said = {} if kind in ("fits", "lcr", "votable") else {"time_scale": "utc"}
    curves, problem = None, "must"
    try:
        curves = read_lightcurves(tmp_path / "x", time_format="mjd", **said)
    except ValueError as error:
        problem = str(error)
    assert "must" in problem or "lacks the columns" in problem
    if curves is not None:
        assert np.isfinite(curves.time).all()
        assert np.isfinite(curves.value[~curves.mask]).all()


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA")
def test_real_missions_agree_with_lightkurve():
    lightkurve = pytest.importorskip("lightkurve")
    folder = Path(DATA) / "exoplanet-transits"
    curves = read_lightcurves(folder / "kepler90_llc")
    assert set(curves.objects["target"]) == {"KIC 11442793"}
    tess = read_lightcurves(folder)
    assert tess.objects.meta["readers"] == {"tess": 1, "kepler": 1}
    for one in (curves[0], tess[0]):
        file = next(folder.rglob(f"{one.name}.fits"))
        theirs = lightkurve.read(str(file)).remove_nans()
        used = one.drop_masked()
        assert len(used) == len(theirs)
        np.testing.assert_allclose(used.time.jd, theirs.time.jd, atol=1e-9)
        np.testing.assert_array_equal(used.value.value, np.asarray(theirs.flux.value))


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA")
def test_real_tables():
    folder = Path(DATA)
    lcr = read_lightcurves(folder / "fermi-lcr")
    assert [one.limit.sum() for one in lcr] == [1, 113, 3, 35]
    assert set(lcr.objects["target"]) == {"4FGL J1229.0+0202", "4FGL J2253.9+1609"}
    agn = folder / "agn-optical"
    assert read_lightcurves(agn / "Mrk335_ztf.csv").objects.meta["masked"] == {"quality": 38}
    assert read_lightcurves(agn / "Mrk335_asassn.csv", time_scale="utc").n_limits == 39
    options = {"time_scale": "utc", "unit": "mJy"}
    assert len(read_lightcurves(agn / "F9_lightcurves", time_format="mjd", **options)) == 8
    line = read_lightcurves(agn / "ngc5548_line.txt", time_format="jd-2440000", **options)
    assert 1988 < line[0].time.jyear.min() < line[0].time.jyear.max() < 1991
    transits = folder / "exoplanet-transits"
    bkjd = {"time_format": "bkjd", "time_scale": "tdb", "unit": ""}
    k2 = read_lightcurves(transits / "k2_tls", **bkjd)
    assert 2014 < k2[0].time.jyear.min() < k2[0].time.jyear.max() < 2017
    planets = read_lightcurves(transits / "space_telescope_ai" / "planets", **bkjd)
    assert len(planets) == 88
    assert set(planets.objects["label"]) == {"planet"}
