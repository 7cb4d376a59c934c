"""Transits in real files: planets found blindly, injected ones recovered, what vetting gains.

    python benchmarks/transit_search.py planets     # Kepler-90, K2-3, WASP-75, WASP-126, HAT-P-7
    python benchmarks/transit_search.py noise       # false alarms and errors on simulated curves
    python benchmarks/transit_search.py recovery    # injections into whole quarters and campaigns
    python benchmarks/transit_search.py gain        # box threshold against learned vetting

Data: exoplanet-transits. Known planets are masked before anything is injected. ``recovery`` and
``gain`` draw their planets with --seed; settings were chosen at seed 1.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from astropy.time import Time

from astroml_kit.datasets import fetch_dataset
from astroml_kit.evaluation import RepeatedGroupKFold
from astroml_kit.lightcurves import (
    LightCurve,
    LightCurves,
    find_transits,
    inject_transits,
    join_lightcurves,
    make_vetting_samples,
    mask_transits,
    match_transits,
    measure_recovery,
    read_lightcurves,
    simulate_lightcurves,
)
from astroml_kit.models import BDTClassifier
from astroml_kit.plotting import plot_recovery
from astroml_kit.significance import OnOffCounts, compare_selections, p_value_from_significance

BKJD = 2_454_833.0
# Star -> radius and mass [Sun], planets with period [d], epoch [BKJD] and duration [h].
# Kepler-90: Cabrera et al. 2014, ApJ 781, 18, and the NASA Exoplanet Archive; K2-3: Kosiarek et
# al. 2019, AJ 157, 97; WASP-75: Gomez Maqueo Chew et al. 2013, A&A 559, A36; WASP-126: Maxted et
# al. 2016, A&A 591, A55; HAT-P-7: Esteves et al. 2015, ApJ 804, 150. Epochs of K2-3, WASP-75,
# WASP-126 and of g and h (which come hours early and late) are those of the data.
KNOWN = {
    "Kepler-90": ((1.2, 1.2), {
        "g": (210.60697, 357.554, 13.0), "h": (331.60059, 472.121, 14.6),
        "d": (59.73667, 158.9656, 9.0), "e": (91.93913, 134.3127, 9.7),
        "f": (124.9144, 254.704, 11.0),
    }),
    "K2-3": ((0.56, 0.60), {
        "b": (10.054626, 2010.580, 2.8), "c": (24.646582, 2003.923, 3.9),
        "d": (44.55646, 1993.225, 4.7),
    }),
    "WASP-75": ((1.26, 1.07), {"b": (2.484193, 2176.9456, 2.4)}),
    "WASP-126": ((1.27, 1.12), {"b": (3.28880, 3504.387, 3.7)}),
    "HAT-P-7": ((1.95, 1.50), {"b": (2.2047354, 125.768, 4.2)}),
}  # fmt: skip
SECTOR = 27.0  # nominal days of a TESS sector, which the processed curves do not give
SEGMENT = 20.0  # days of the pieces that the gain is measured on
FALSE_ALARMS = (0.05, 0.2)  # shares of curves without a planet that may pass


def read_stars() -> dict[str, LightCurve]:
    """Every star, its quarters joined."""
    folder = Path(fetch_dataset("exoplanet-transits"))
    k2 = {"unit": "", "time_format": "bkjd", "time_scale": "tdb"}
    slc = "kplr010666592-2009131110544_slc.fits"
    tess = "hlsp_tess-data-alerts_tess_phot_00025155310-s01_tess_v1_lc.fits"
    stars = {
        "Kepler-90": join_lightcurves(read_lightcurves(folder / "kepler90_llc")),
        "K2-3": read_lightcurves(folder / "k2_tls" / "EPIC201367065.csv", **k2)[0],
        "WASP-75": read_lightcurves(folder / "k2_tls" / "EPIC206154641.csv", **k2)[0],
        "WASP-126": join_lightcurves(read_lightcurves(folder / tess)),
        "HAT-P-7": join_lightcurves(read_lightcurves(folder / slc)),
    }  # fmt: skip
    return {name: replace(star, name=name) for name, star in stars.items()}


def list_open_periods(star: LightCurve, epoch: float, duration: float) -> str:
    """Ranges of the period that a single event leaves open: nobody looked at its repetitions."""
    days = (star.time.jd - BKJD)[~np.asarray(star.mask)]
    periods = np.arange(0.5, np.ptp(days), 0.01)
    left = np.ones(len(periods), dtype=bool)
    for n in (*range(-int(np.ptp(days) / 0.5), 0), *range(1, int(np.ptp(days) / 0.5) + 1)):
        at = epoch + n * periods
        near = np.searchsorted(days, at + duration / 4) - np.searchsorted(days, at - duration / 4)
        left &= near < 3
    edges = np.flatnonzero(np.diff(np.concatenate([[0], left, [0]])))
    ranges = [(periods[a], periods[min(b, len(periods) - 1)])
              for a, b in zip(edges[::2], edges[1::2], strict=True)]  # fmt: skip
    text = [f"{low:.1f}-{high:.1f}" for low, high in ranges if high < periods[-1]]
    if len(text) > 12:
        text = [f"{len(text)} ranges from {text[0]} to {text[-1]}"]
    return ", ".join([*text, *(f"above {low:.1f}" for low, high in ranges if high >= periods[-1])])


def search_planets(options: argparse.Namespace) -> None:
    """Search each star blindly and hold the candidates against the literature."""
    print(
        "find_transits(star, n_planets=8, single_transits=True, period_min=1.0, star_radius=R, "
        f'star_mass=M, method="{options.method}")'
    )
    for name, star in read_stars().items():
        if options.star and name != options.star:
            continue
        (radius, mass), planets = KNOWN[name]
        start = time.perf_counter(), time.process_time()
        found = find_transits(
            star, n_planets=8, single_transits=True, period_min=1.0, star_radius=radius,
            star_mass=mass, method=options.method,
        )  # fmt: skip
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        print(f"\n{star}\nR {radius}, M {mass}: {wall:.1f} s, {cpu:.1f} s of one core")
        n_false, seen = 0, set()
        for row in found:
            letter, note = identify(row, planets)
            n_false += letter == "?"
            seen.add(letter)
            period = f"{row['period'].value:.5f} +- {row['period_error'].value:.5f}"
            if not np.isfinite(row["period"]):
                period = "one event"
                note += "; open: " + list_open_periods(
                    star, row["epoch"].jd - BKJD, row["duration"].to_value("day"))  # fmt: skip
            print(
                f"  {letter} {period:<22} depth {1e6 * row['depth']:6.0f} ppm  snr "
                f"{row['snr']:6.1f}  significance {row['significance']:6.1f}  {row['n_transits']} "
                f"events  P of star {row['period_of_star'].value:6.1f}"
                f"  aliases {row['aliases'] or '-'}  {note}"
            )
        missed = [f"{k} ({p[0]:g} d)" for k, p in planets.items() if k not in seen]
        print(f"  false candidates: {n_false}; not found: {', '.join(missed) or 'none'}")


def identify(row, planets: dict[str, tuple[float, float, float]]) -> tuple[str, str]:
    """Letter of the planet, and how far its period is off."""
    period, epoch = row["period"].value, row["epoch"].jd - BKJD
    for letter, (true, middle, hours) in planets.items():
        if np.isfinite(period) and abs(period / true - 1) < 0.01:
            return letter, f"period off by {1e2 * (period / true - 1):+.4f} % of {true:g} d"
        away = (epoch - middle) % true
        if not np.isfinite(period) and min(away, true - away) < hours / 24:
            return letter, f"true period {true:g} d"
    return "?", "no known planet"


def mask_known(star: LightCurve) -> LightCurve:
    """Mask the points of all known planets."""
    planets = KNOWN[star.name][1].values()
    rows = QTable({
        "period": [p[0] for p in planets] * u.day,
        "epoch": Time([p[1] + BKJD for p in planets], format="jd", scale="tdb"),
        "duration": [p[2] for p in planets] * u.hour,
    })  # fmt: skip
    return mask_transits(star, rows)


def cut(star: LightCurve, length: float) -> list[LightCurve]:
    """Pieces of at most so many days, broken at gaps as well; points averaged to 20 minutes."""
    star = mask_known(star).drop_masked()
    days = star.time.jd - BKJD
    place = np.floor((days - days[0]) * 72)
    if len(np.unique(place)) < 0.7 * len(days):
        n = np.bincount(np.unique(place, return_inverse=True)[1])
        first = np.concatenate([[0], np.cumsum(n)[:-1]])
        mean = [np.add.reduceat(x, first) / n for x in (days, star.value.value)]
        days = mean[0]
        star = LightCurve(Time(BKJD, days, format="jd", scale="tdb"), mean[1] * u.Unit(""),
                          name=star.name)  # fmt: skip
    edges = np.flatnonzero(np.diff(days) > 10) + 1
    parts = []
    for rows in np.split(np.arange(len(days)), edges):
        n = max(round(np.ptp(days[rows]) / length), 1)
        parts += [star.select(part) for part in np.array_split(rows, n)]
    return [replace(part, name=f"{star.name}/{k}") for k, part in enumerate(parts)]


def stack(parts: list[LightCurve], names: list[str]) -> LightCurves:
    """One table of curves, relative flux without errors: the search measures the noise."""
    return LightCurves.from_columns(
        name=np.repeat(names, [len(part) for part in parts]),
        time=np.concatenate([part.time.jd - BKJD for part in parts]),
        value=np.concatenate([part.value.value / np.median(part.value.value) for part in parts]),
        unit="", time_format="bkjd", time_scale="tdb",
    )  # fmt: skip


def draw(parts: list[LightCurve], each: int, rng, *, period_min: float) -> LightCurves:
    """Inject into each part several times: period and expected snr log-uniform, impact uniform."""
    curves = stack(parts * each, [f"{p.name}#{k}" for k in range(each) for p in parts])
    span = np.array([np.ptp(c.time.jd) for c in curves])
    n = len(curves)
    period = period_min * (0.5 * span / period_min) ** rng.random(n)
    shape = {"period": period, "impact": rng.uniform(0, 0.8, n),
             "epoch": curves.time[curves.offsets[:-1]] + rng.random(n) * period}  # fmt: skip
    trial = inject_transits(curves, radius_ratio=0.02, **shape)
    wanted = np.exp(rng.uniform(np.log(4), np.log(30), n))
    # the expected snr goes with the depth, the depth with the square of the radius
    given = np.maximum(np.asarray(trial.objects["injected_snr"]), 1e-3)
    ratio = np.clip(0.02 * np.sqrt(wanted / given), 1e-3, 0.2)
    return inject_transits(curves, radius_ratio=ratio, **shape)


def measure_curve(options: argparse.Namespace) -> None:
    """Recovery of injected planets in whole quarters and campaigns, at the threshold of 7.1."""
    rng = np.random.default_rng(options.seed)
    parts = [part for star in read_stars().values() for part in cut(star, 100)]
    print("; ".join(f"{part.name} {np.ptp(part.time.jd):.0f} d" for part in parts))
    curves = draw(parts, options.each, rng, period_min=1.0)
    start = time.process_time()
    found = find_transits(curves, period_min=1.0)
    right = match_transits(found, curves)
    hit = np.isin(curves.names, found["name"][right])
    print(f"{len(curves)} curves, {time.process_time() - start:.0f} s of one core; "
          f"{np.sum(~right)} candidates are not what was injected")  # fmt: skip
    of = {k: np.asarray(curves.objects[f"injected_{k}"]) for k in ("period", "snr", "depth")}
    edges = [1, 3, 10, 48]
    print(measure_recovery(hit, period=of["period"], depth=of["snr"], period_edges=edges,
                           depth_edges=[3.9, 7, 10, 15, 31], of="expected snr"))  # fmt: skip
    recovery = measure_recovery(hit, period=of["period"], depth=1e6 * of["depth"],
                                period_edges=edges, depth_edges=[20, 150, 400, 1000, 4000],
                                of="depth [ppm]")  # fmt: skip
    print(recovery)
    star = np.array([name.partition("/")[0] for name in curves.names])
    for name in KNOWN:
        print(f"  {name}: {hit[star == name].sum()} of {(star == name).sum()}")
    if options.plot:
        plot_recovery(recovery).figure.savefig(options.plot, dpi=120)


def read_noise() -> list[LightCurve]:
    """Pieces of the stars above, and TESS stars without a known planet."""
    parts = [part for star in read_stars().values() for part in cut(star, SEGMENT)]
    folder = Path(fetch_dataset("exoplanet-transits")) / "space_telescope_ai" / "non_planets"
    for star in read_lightcurves(folder, unit="", time_format="bkjd", time_scale="tdb"):
        share = np.linspace(0, SECTOR, len(star))
        parts.append(replace(star, time=Time(BKJD, share, format="jd", scale="tdb"),
                             name=f"{star.name}/0"))  # fmt: skip
    return [part for part in parts if len(part) > 200]


def turn(part: LightCurve, kind: str) -> LightCurve:
    """The same noise upside down, its halves swapped, or both: for training only."""
    value = part.value.value / np.median(part.value.value)
    if "down" in kind:
        value = 2 - value
    if "swapped" in kind:
        half = len(value) // 2
        value = np.concatenate([value[half:] / np.median(value[half:]),
                                value[:half] / np.median(value[:half])])  # fmt: skip
    return replace(part, value=value * u.Unit(""), error=None)


def measure_gain(options: argparse.Namespace) -> None:
    """Count what passes with and without a planet, per star, by folds of stars."""
    rng = np.random.default_rng(options.seed)
    start = time.process_time()
    parts = read_noise()
    kinds = ("plain", "down", "swapped", "down swapped")
    curves = draw(parts, options.each, rng, period_min=1.0)
    search = {"period_min": 1.0, "snr_min": 0.0}
    planted = find_transits(curves, **search)
    names = [part.name for part in parts]
    empty = {
        kind: find_transits(stack([turn(part, kind) for part in parts], names), **search)
        for kind in kinds
    }
    for number, table in enumerate((planted, *empty.values())):
        table["kind"], table["right"] = number, False
    planted["right"] = match_transits(planted, curves)
    table = vstack([planted, *empty.values()], metadata_conflicts="silent")
    star = np.array([name.partition("/")[0] for name in table["name"]])
    kind, right = np.asarray(table["kind"]), np.asarray(table["right"])
    samples = make_vetting_samples(table, groups=star)
    passed = judge(samples, np.asarray(table["snr"]), star, kind, right, seed=options.seed)
    snr = np.asarray(curves.objects["injected_snr"])
    order = {name: n for n, name in enumerate(curves.names)}
    of = snr[[order[name] for name in table["name"][kind == 0]]]
    for share in FALSE_ALARMS:
        print(f"thresholds for {share:.0%} of the curves without a planet")
        pair = {name: passed[name, share] for name in ("box", "vetting")}
        report_gain(pair, star, kind, right, rng=options.seed)
        for low, high in ((3.9, 7), (7, 10), (10, 15), (15, 31)):
            chosen = (of >= low) & (of < high)
            shares = [f"{name} {(p[kind == 0] & right[kind == 0])[chosen].mean():.2f}"
                      for name, p in pair.items()]  # fmt: skip
            print(f"  expected snr {low:g}-{high:g}, {chosen.sum()} injected: {', '.join(shares)}")
    print(f"{len(set(star))} stars, {time.process_time() - start:.0f} s of one core")


def judge(samples, snr, star, kind, right, *, seed: int) -> dict[tuple[str, float], np.ndarray]:
    """Which candidates pass each threshold: none is judged by what its own star has taught."""
    model = BDTClassifier(n_estimators=150, learning_rate=0.05, max_leaves=8, min_samples_leaf=8,
                          l2=1.0, n_bags=3, random_state=seed)  # fmt: skip
    used = (kind != 0) | right  # other candidates of injected stars teach nothing certain
    processed = np.char.startswith(star, "tic")
    passed = {
        (name, share): np.zeros(len(star), bool)
        for name in ("box", "vetting") for share in FALSE_ALARMS
    }  # fmt: skip
    folds = RepeatedGroupKFold(5, random_state=seed)
    for train, test in folds.split(samples.X, right.astype(int), star):
        # a threshold is that of scores of stars the classifier had not seen either
        inner = RepeatedGroupKFold(4, random_state=seed)
        out = np.full(len(train), np.nan)
        for fit, held in inner.split(samples.X[train], right[train].astype(int), star[train]):
            rows = train[fit][used[train[fit]]]
            model.fit(samples.X[rows], right[rows])
            out[held] = model.predict_proba(samples.X[train[held]])[:, 1]
        rows = train[used[train]]
        score = model.fit(samples.X[rows], right[rows]).predict_proba(samples.X[test])[:, 1]
        for name, there, here in (("box", snr[train], snr[test]), ("vetting", out, score)):
            for share in FALSE_ALARMS:
                for one in (False, True):
                    null = (kind[train] == 1) & (processed[train] == one)
                    limit = np.quantile(there[null], 1 - share)
                    passed[name, share][test] |= (here > limit) & (processed[test] == one)
    return passed


def report_gain(passed, star, kind, right, *, rng: int) -> None:
    """Shares that pass, and the gain: ON are injected curves, OFF the same without a planet."""
    processed = np.char.startswith(star, "tic")
    for label, chosen in (("all", star != ""), ("Kepler, K2, TESS with days", ~processed),
                          ("TESS, processed", processed)):  # fmt: skip
        runs = {}
        for name, ok in passed.items():
            runs[name] = [
                OnOffCounts(
                    int((ok & (kind == 0))[star == s].sum()),
                    int((ok & (kind == 1))[star == s].sum()),
                    float((kind == 0)[star == s].sum() / (kind == 1)[star == s].sum()),
                )
                for s in np.unique(star[chosen])
            ]
            on, off = (ok & chosen & (kind == k) for k in (0, 1))
            print(
                f"  {label}, {name}: {(on & right).sum()} planets and {(on & ~right).sum()} other "
                f"candidates of {(chosen & (kind == 0)).sum()} injected curves; {off.sum()} of "
                f"{(chosen & (kind == 1)).sum()} without a planet"
            )
        print(f"  {label}: {compare_selections(runs['box'], runs['vetting'], rng=rng)}")


def measure_noise(options: argparse.Namespace) -> None:
    """False alarms on white noise, and whether period errors are as large as they say."""
    rng = np.random.default_rng(options.seed)
    n, days = 100 * options.each, np.arange(0, 20, 0.0204)
    days = days[(days < 9) | (days > 11)]
    curves = LightCurves.from_columns(
        name=np.repeat([f"n{k:04d}" for k in range(n)], len(days)), time=np.tile(days, n),
        value=1 + 1e-4 * rng.normal(size=n * len(days)), unit="", time_format="bkjd",
        time_scale="tdb",
    )  # fmt: skip
    start = time.process_time()
    found = find_transits(curves, snr_min=0, period_min=1.0)
    p = p_value_from_significance(np.asarray(found["significance"]))
    print(f"white noise, {n} curves of 20 d with a gap: {found['n_trials'][0]:.3g} trials, snr "
          f"median {np.median(found['snr']):.2f}, highest {np.max(found['snr']):.2f}")  # fmt: skip
    for level in (0.5, 0.1, 0.05, 0.01):
        print(f"  p after trials below {level}: {np.sum(p < level)} of {n}, {level * n:g} allowed")
    n = 30 * options.each
    stars = simulate_lightcurves("constant", n=n, survey="tess", random_state=options.seed)
    stars = inject_transits(
        stars, period=rng.uniform(1.5, 9, n), radius_ratio=rng.uniform(0.04, 0.1, n),
        impact=rng.uniform(0, 0.7, n), random_state=options.seed,
    )  # fmt: skip
    found = find_transits(stars, period_min=1.0)
    right = match_transits(found, stars)
    number = {name: k for k, name in enumerate(stars.names)}
    rows = [number[name] for name in found["name"]]
    true = np.asarray(stars.objects["injected_period"])[rows] * u.day
    pull = ((found["period"] - true) / found["period_error"]).value[right]
    print(f"injected: {right.sum()} of {n} right; (period - true) / error has a scatter of "
          f"{1.4826 * np.median(np.abs(pull)):.2f} (robust), {pull.std():.2f}")  # fmt: skip
    print(f"{time.process_time() - start:.0f} s of one core")


STUDIES = {"planets": search_planets, "noise": measure_noise, "recovery": measure_curve,
           "gain": measure_gain}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Transits in real files.")
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--star", choices=KNOWN, help="only this one (planets)")
    parser.add_argument("--method", choices=("bls", "tls"), default="bls")
    parser.add_argument("--each", type=int, default=4, help="injections per piece of curve (4)")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="figure of the recovery")
    options = parser.parse_args()
    STUDIES[options.study](options)


if __name__ == "__main__":
    main()
