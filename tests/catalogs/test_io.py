"""Reading catalogues: formats that agree, units and gaps kept, and one sentence per damage."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.catalogs import read_catalog

DATA = os.environ.get("ASTROML_KIT_DATA")
LONG = 5_537_738_593_030_843_008  # more digits than a real number holds


def make_table():
    table = Table(
        {
            "source_id": [LONG, LONG + 1, LONG + 3], "ra": [10.5, 359.9, 0.1] * u.deg,
            "dec": [-3.0, 89.9, -89.9] * u.deg, "name": ["a", "b b", "c"],
            "pmra": MaskedColumn([5.0, 0.0, 1.0], mask=[0, 1, 0], unit="mas / yr"),
            "pmdec": MaskedColumn([1.0, 0.0, 1.0], mask=[0, 1, 0], unit="mas / yr"),
            "mag": MaskedColumn([12.0, 13.5, 0.0], mask=[0, 0, 1], unit="mag"),
            "n": MaskedColumn([1, 2, 3], mask=[0, 0, 1]),
        }
    )  # fmt: skip
    table["ra"].description = "right ascension"
    return table


def write(table, folder, kind):
    path = Path(folder) / "table"  # no suffix: content tells
    if kind == "fits":
        table.write(path, format="fits")
    elif kind == "votable":
        table.write(path, format="votable")
    elif kind == "ecsv":
        table.write(path, format="ascii.ecsv")
    elif kind == "parquet":
        frame = table.to_pandas()
        frame.to_parquet(path)
    else:
        table.to_pandas().to_csv(path, index=False, sep=kind)
    return path


@pytest.mark.parametrize("kind", ["fits", "votable", "ecsv", "parquet", ",", ";", "\t"])
def test_every_format_gives_the_same(kind, tmp_path):
    table = read_catalog(write(make_table(), tmp_path, kind))
    assert isinstance(table, QTable)
    assert table["source_id"].tolist() == [LONG, LONG + 1, LONG + 3]
    assert [str(name) for name in table["name"]] == ["a", "b b", "c"]
    np.testing.assert_allclose(table["coord"].ra.deg, [10.5, 359.9, 0.1])
    np.testing.assert_allclose(table["coord"].dec.deg, [-3, 89.9, -89.9])
    assert np.isnan(table["coord"].pm_dec.value).tolist() == [False, True, False]
    assert table["coord"].pm_ra_cosdec[0].to_value("mas / yr") == pytest.approx(5)
    missing = table.meta["missing"]
    assert {key: missing[key] for key in ("pmra", "pmdec", "mag")} == dict.fromkeys(
        ("pmra", "pmdec", "mag"), 1
    )
    assert np.ma.getmaskarray(np.ma.asarray(table["n"])).tolist() == [False, False, True]
    told = kind in ("fits", "votable", "ecsv")
    assert (table.meta["assumed_units"] == {}) == told
    if told:
        assert table["mag"].unit == u.mag
        assert np.isnan(table["mag"].value[2])
    if kind in ("votable", "ecsv"):
        assert table["ra"].info.description == "right ascension"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 360, exclude_max=True), st.floats(-90, 90),
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
        ), min_size=1, max_size=30,
    )
)  # fmt: skip
def test_numbers_of_text_come_back_whole(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    lines = [f"{a!r},{d!r},{'' if v is None else repr(v)}" for a, d, v in rows]
    path.write_text("ra_deg,dec_deg,flux\n" + "\n".join(lines) + "\n")
    table = read_catalog(path, units={"ra_deg": "deg", "dec_deg": "deg"})
    assert table["coord"].ra.deg == pytest.approx([r[0] for r in rows], abs=1e-12)
    n_missing = sum(r[2] is None for r in rows)
    assert table.meta["missing"].get("flux", 0) == n_missing
    kept = np.ma.asarray(table["flux"]).compressed() if n_missing < len(rows) else []
    assert list(kept) == [r[2] for r in rows if r[2] is not None]


def test_ucds_say_what_is_a_position(tmp_path):
    table = Table({"x": [10.0, 20.0] * u.deg, "y": [-5.0, 5.0] * u.deg, "ra": [1.0, 2.0]})
    votable = Path(tmp_path) / "v.xml"
    from astropy.io.votable import from_table

    tree = from_table(table)
    for field, ucd in zip(tree.get_first_table().fields, ("pos.eq.ra;meta.main", "pos.eq.dec", ""),
                          strict=True):  # fmt: skip
        field.ucd = ucd or None
    tree.to_xml(str(votable))
    read = read_catalog(votable)
    assert read.meta["coordinates"] == {"ra": "x", "dec": "y"}
    assert read["x"].info.meta["ucd"] == "pos.eq.ra;meta.main"
    assert read["coord"].ra.deg.tolist() == [10, 20]


def test_galactic_positions_and_epochs(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("GLON,GLAT\n0.0,0.0\n")
    sgr = read_catalog(path)["coord"].icrs[0]
    assert (sgr.ra.deg, sgr.dec.deg) == pytest.approx((266.405, -28.936), abs=1e-3)
    path.write_text("ra,dec,ref_epoch\n1,2,2016.0\n3,4,2016.0\n")
    assert read_catalog(path)["coord"].obstime.jyear == 2016.0
    path.write_text("ra,dec,ref_epoch\n1,2,2016.0\n3,4,2015.5\n")
    assert read_catalog(path)["coord"].obstime is None
    given_ = read_catalog(path, epoch=Time(2000.0, format="jyear"))
    assert given_["coord"].obstime.jyear == 2000.0


def test_hours_are_read_as_hours_when_said_and_refused_when_likely(tmp_path):
    path = tmp_path / "h.csv"
    rng = np.random.default_rng(1)
    rows = [f"{a},{d}" for a, d in zip(rng.uniform(0, 24, 40), rng.uniform(-80, 80, 40),
                                       strict=True)]  # fmt: skip
    path.write_text("RA,Dec\n" + "\n".join(rows))
    with pytest.raises(ValueError, match=r"RA of h.csv must be said to be in degrees or hours"):
        read_catalog(path)
    table = read_catalog(path, units={"RA": "hourangle"})
    assert table["coord"].ra.deg == pytest.approx([15 * float(r.split(",")[0]) for r in rows])
    as_degrees = read_catalog(path, units={"RA": "deg"})
    assert as_degrees["coord"].ra.deg.max() < 24
    path.write_text("RA;Dec\n00:08:27.05;+27:43:03.6\n;\n23 59 59;-00 00 01\n")
    table = read_catalog(path)
    assert table["coord"].ra.deg[0] == pytest.approx(15 * (8 / 60 + 27.05 / 3600))
    assert np.isnan(table["coord"].ra.deg[1])
    assert table["coord"].dec.deg[2] == pytest.approx(-1 / 3600)


def test_text_among_numbers_is_refused_masked_or_kept(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ra,dec,mag\n" + "\n".join(f"{k},0,{k}" for k in range(20)) + "\n3,0,faint\n")
    with pytest.raises(ValueError, match=r"numbers in column 'mag', got 'faint' in row 21"):
        read_catalog(path)
    masked = read_catalog(path, on_error="mask")
    assert masked.meta["not_numbers"] == {"mag": 1}
    assert np.ma.is_masked(masked["mag"][20])
    assert read_catalog(path, on_error="text")["mag"][20] == "faint"


def test_columns_are_renamed_required_and_converted(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("alpha,delta,z\n10,20,0.1\n")
    plain = read_catalog(path)
    assert "coord" not in plain.colnames
    assert plain.meta["coordinates"] == {}
    table = read_catalog(path, columns={"alpha": "ra", "delta": "dec"}, require=["z", "ra"],
                         units={"ra": "rad"})  # fmt: skip
    assert table["coord"].ra.rad[0] == pytest.approx(10 % (2 * np.pi))
    with pytest.raises(ValueError, match=r"c.csv lacks the columns \['redshift'\]"):
        read_catalog(path, require=["redshift"])
    with pytest.raises(ValueError, match="must have new names"):
        read_catalog(path, columns={"alpha": "z"})
    with pytest.raises(ValueError, match="units must be of columns that"):
        read_catalog(path, units={"mag": "mag"})
    make_table().write(tmp_path / "u.fits")
    assert read_catalog(tmp_path / "u.fits", units={"ra": "rad"})["ra"].unit == u.rad
    with pytest.raises(ValueError, match=r"units\['ra'\] must be like deg"):
        read_catalog(tmp_path / "u.fits", units={"ra": "mag"})


def test_nan_positions_are_kept_as_gaps(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("ra,dec\nnan,1\n2,\n3,4\n")
    table = read_catalog(path)
    assert np.isfinite(table["coord"].ra).tolist() == [False, True, True]
    assert np.isfinite(table["coord"].dec).tolist() == [True, False, True]
    assert table.meta["missing"] == {"ra": 1, "dec": 1}


def test_a_table_without_rows_is_a_table(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("ra,dec,mag\n")
    table = read_catalog(path)
    assert len(table) == len(table["coord"]) == 0
    make_table()[:0].write(tmp_path / "e.fits")
    assert len(read_catalog(tmp_path / "e.fits")) == 0


def damage(tmp_path, kind):
    path = tmp_path / "bad"
    if kind == "empty":
        path.write_text("")
    elif kind == "blank":
        path.write_text("\n\n# only a comment\n")
    elif kind == "twice":
        path.write_text("ra,dec,ra\n1,2,3\n")
    elif kind == "ragged":
        path.write_text("ra,dec\n1,2\n1,2,3\n")
    elif kind == "pole":
        path.write_text("ra,dec\n1,2\n1,91\n")
    elif kind == "words":
        path.write_text("ra,dec\nleft,right\n")
    elif kind == "binary":
        path.write_bytes(bytes(range(128, 256)) * 10)
    elif kind == "unit":
        Table({"ra": [1.0] * u.mag, "dec": [1.0] * u.deg}).write(path, format="fits")
    elif kind == "image":
        fits.PrimaryHDU(np.zeros((3, 3))).writeto(path)
    else:
        whole = write(make_table(), tmp_path, kind).read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "must have a line of column names, got an empty file"),
        ("blank", "must have a line of column names"),
        ("twice", r"columns of different names, got \['ra'\] more than once"),
        ("ragged", "as many values in each row as columns"),
        ("pole", "dec of bad must be from -90 to 90 deg, got 91 deg in row 2"),
        ("words", "ra of bad must be angles, got 'left' in row 1"),
        ("binary", "must be a table of text, FITS, VOTable or Parquet"),
        ("unit", "ra of bad must be in a unit like deg, got mag"),
        ("image", "has no extension with a table"),
        ("fits", "must be a whole fits table"),
        ("votable", "must be a whole votable table"),
        ("parquet", "must be a whole parquet table"),
    ],
)
def test_damage_is_named(kind, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_catalog(damage(tmp_path, kind))


FORMATS = ["fits", "votable", "ecsv", "parquet", ","]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_counts_gaps_and_refuses_hours_and_wrong_units(kind, tmp_path):
    n = 40
    rng = np.random.default_rng(1)
    table = Table({"ra": rng.uniform(0, 24, n), "dec": rng.uniform(-80, 80, n), "k": np.arange(n)})
    with pytest.raises(ValueError, match="ra of table must be said to be in degrees or hours"):
        read_catalog(write(table, tmp_path, kind))
    hours = read_catalog(tmp_path / "table", units={"ra": "hourangle"})
    np.testing.assert_allclose(hours["coord"].ra.deg, 15 * table["ra"])
    with pytest.raises(ValueError, match="ra of table must be in a unit like deg, got mag"):
        read_catalog(tmp_path / "table", units={"ra": "mag"})
    (tmp_path / "gaps").mkdir()
    table["ra"] = np.where(np.arange(n) < 3, np.nan, 15 * table["ra"])
    gaps = read_catalog(write(table, tmp_path / "gaps", kind))
    assert gaps.meta["missing"] == {"ra": 3}
    assert np.isnan(gaps["coord"].ra).sum() == 3
    (tmp_path / "none").mkdir()
    none = read_catalog(write(table[:0], tmp_path / "none", kind))
    assert len(none) == len(none["coord"]) == 0


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_refuses_text_for_a_position(kind, tmp_path):
    table = Table({"ra": ["left", "right"], "dec": [1.0, 2.0]})
    with pytest.raises(ValueError, match="ra of table must be angles, got 'left' in row 1"):
        read_catalog(write(table, tmp_path, kind))


def write_twice(path, kind):
    """A file of two columns of one name, as each format would have them."""
    if kind == "ecsv":
        text = "# %ECSV 1.0\n# ---\n# datatype:\n"
        text += "".join(f"# - {{name: {name}, datatype: float64}}\n" for name in ("ra", "ra"))
        path.write_text(text + "# schema: astropy-2.0\nra ra\n1.0 2.0\n")
    elif kind == "votable":
        Table({"ra": [1.0], "rb": [2.0]}).write(path, format="votable")
        path.write_text(path.read_text().replace('"rb"', '"ra"'))
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table([pa.array([1.0]), pa.array([2.0])], names=["ra", "ra"]), path)
    return path


@pytest.mark.parametrize("kind", ["ecsv", "votable", "parquet"])
@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.VOWarning")
def test_every_format_refuses_columns_of_one_name(kind, tmp_path):
    with pytest.raises(ValueError, match=r"(?i)different names|duplicate|must be a whole"):
        read_catalog(write_twice(tmp_path / "twice", kind))


def test_columns_of_one_name_in_fits_are_refused(tmp_path):
    columns = [fits.Column("ra", "D", array=[1.0]), fits.Column("RA", "D", array=[2.0])]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    with pytest.raises(ValueError, match="different names"):
        read_catalog(tmp_path / "t.fits")


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA to the folder of the data sets")
def test_real_catalogues():
    data = Path(DATA)
    gaia = read_catalog(data / "gaia-open-clusters" / "NGC2477.csv")
    assert len(gaia) == 7100
    assert gaia.meta["missing"]["pmra"] == 657
    assert gaia["source_id"][0] == 5537738593028843008
    ngc = read_catalog(data / "openngc" / "NGC.csv", on_error="text")
    andromeda = ngc[np.asarray(ngc["Name"]) == "NGC0224"]["coord"]
    assert (andromeda.ra.deg[0], andromeda.dec.deg[0]) == pytest.approx(
        (10.6848, 41.2691), abs=1e-3
    )
    hgps = read_catalog(next(data.rglob("hgps_catalog_v1.fits.gz")))
    assert len(hgps) == 78
    assert hgps.meta["coordinates"] == {"ra": "RAJ2000", "dec": "DEJ2000"}
