"""Photometric redshifts with errors that hold, and the classes of a deeper sample.

Run it:  python tutorials/15_photo_z.py [folder for the figures, default ./results]

Everything is simulated; it takes less than a minute. With a catalogue of your own, `read_catalog`
takes the place of `simulate_photometry`; a column with spectroscopic redshifts and one with classes
are what it is trained on.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astroml_kit.catalogs import (
    RedshiftEstimator,
    evaluate_redshifts,
    extract_photometry,
    simulate_photometry,
)
from astroml_kit.models import (
    AnomalyDetector,
    BDTClassifier,
    BDTRegressor,
    CalibratedClassifier,
    CalibratedRegressor,
    MixtureDensityRegressor,
    correct_prior_shift,
)
from astroml_kit.plotting import (
    plot_pit,
    plot_redshift_bins,
    plot_redshift_intervals,
    plot_redshifts,
)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
BANDS = "ugriz"

# --- 1. A survey ---------------------------------------------------------------------------------
# Magnitudes of five bands with errors. A band that has not covered a source, or not seen it, is
# NaN: nothing is made up for it here. Trees take NaN as it is; networks put the median in its
# place and are told that they did.
survey = simulate_photometry(7500, magnitude_max=20, missing=0.03, rng=1)
names, counts = np.unique(survey["true_class"], return_counts=True)
shares = [f"{name} {count}" for name, count in zip(names, counts, strict=True)]
gone = [f"{band} {np.mean(np.isnan(survey[band])):.1%}" for band in BANDS]
print(f"1. {len(survey)} sources: {', '.join(shares)}\n   without a magnitude: {', '.join(gone)}")

# --- 2. Redshifts of galaxies --------------------------------------------------------------------
# Two thirds have a spectrum. `RedshiftEstimator()` as it comes trains larger networks on whole
# surveys, for half a minute or more; these are for a small one.
galaxies = survey[survey["true_class"] == "galaxy"]
cut = 2 * len(galaxies) // 3
train, test = galaxies[:cut], galaxies[cut:]
truth = np.asarray(test["true_redshift"])
network = MixtureDensityRegressor(
    hidden_layers=(64, 64), max_epochs=30, learning_rate=5e-3, schedule="cosine",
    early_stopping=False, scaling="standard", precision="float32",
)  # fmt: skip
usual = {"errors": "{}_err"}
estimator = RedshiftEstimator(
    CalibratedRegressor(network, n_splits=3, band_column=2, n_bands=4, random_state=1),
    photometry=usual,
).fit(train, redshift="true_redshift")
trees = RedshiftEstimator(
    BDTRegressor(loss="absolute_error", random_state=1), photometry=usual
).fit(train, redshift="true_redshift")

found = estimator.predict(test)
ends = np.column_stack([found["lower"], found["upper"]])
levels = np.linspace(0.01, 0.99, 50)
result = evaluate_redshifts(
    truth, found["redshift"], intervals=ends, pit=estimator.predict_cdf(test, truth),
    quantiles=estimator.predict_quantiles(test, levels), levels=levels, magnitude=test["r"],
)  # fmt: skip
of_trees = evaluate_redshifts(truth, trees.predict(test)["redshift"], magnitude=test["r"])
print(f"\n2. {estimator}\n   {result}\n   trees, without errors: {of_trees}")
print("   r magnitude     n  sigma_NMAD  beyond 0.05  coverage  width")
for row in result.by_magnitude:
    print(f"   {row['low']:5.2f}-{row['high']:5.2f}  {row['n']:4d}  {row['sigma_nmad']:10.4f}  "
          f"{row['outliers_05']:11.1%}  {row['coverage']:8.1%}  {row['width']:.3f}")  # fmt: skip
# Odds say of every single redshift how likely it is to be right.
right = np.abs(found["redshift"] - truth) / (1 + truth) < 0.05
for low, high in ((0.9, 1.01), (0.6, 0.9), (0, 0.6)):
    mine = (found["odds"] >= low) & (found["odds"] < high)
    print(f"   odds from {low:.1f} to {min(high, 1):.1f}: {mine.sum():4d} sources, "
          f"{np.mean(right[mine]):.0%} right")  # fmt: skip

# --- 3. What the promise rests on -----------------------------------------------------------------
# The PIT is the level of the truth in its distribution: even, if distributions are right. Networks
# trained by likelihood are nearly so by themselves; calibration adds that it holds in each band of
# magnitude. It cannot hold where nothing was calibrated: train on the bright half, ask the faint.
samples = extract_photometry(test, **usual)
plain = estimator.model_.predict_mixture(samples).find_cdf(np.log1p(truth))
before = evaluate_redshifts(truth, found["redshift"], pit=plain)
middle = np.nanmedian(train["r"])
short = RedshiftEstimator(
    CalibratedRegressor(network, n_splits=2, band_column=2, n_bands=2, random_state=1),
    photometry=usual,
).fit(train[train["r"] < middle], redshift="true_redshift")
faint = test[test["r"] > middle]
guess = short.predict(faint)
beyond = evaluate_redshifts(
    faint["true_redshift"], guess["redshift"],
    intervals=np.column_stack([guess["lower"], guess["upper"]]),
)  # fmt: skip
print(f"\n3. Largest distance of the PIT from even: {before.pit_distance:.1%} before calibration, "
      f"{result.pit_distance:.1%} after,\n   {result.pit_noise:.1%} by chance.\n"
      f"   Trained on the bright half, 90% intervals of the faint hold {beyond.coverage:.0%}."
      )  # fmt: skip

# --- 4. Classes of a deeper sample ---------------------------------------------------------------
# A calibrated classifier carries the shares of its training with it. The deeper survey has fewer
# stars and more quasars; nobody has labelled it. Expectation maximisation finds the shares.
classes = extract_photometry(survey, label="true_class", **usual)
model = CalibratedClassifier(BDTClassifier(n_estimators=120, random_state=1), n_splits=3,
                             random_state=1).fit(classes)  # fmt: skip
deep = simulate_photometry(
    5000, shares={"star": 0.15, "galaxy": 0.65, "qso": 0.2}, magnitude_min=18, magnitude_max=20,
    missing=0.03, rng=2,
)  # fmt: skip
deep_samples, kind = extract_photometry(deep, **usual), np.asarray(deep["true_class"])
p = model.predict_proba(deep_samples)
trained = [np.mean(classes.y == name) for name in model.classes_]
shift = correct_prior_shift(p, trained=trained, classes=model.classes_, n_bootstrap=30, rng=1)
real = [float(np.mean(kind == name)) for name in model.classes_]
column = np.searchsorted(model.classes_, kind)
print(f"\n4. {shift}\n   true shares: "
      + ", ".join(f"{n} {s:.1%}" for n, s in zip(model.classes_, real, strict=True)))  # fmt: skip
for name, q in (("as trained", p), ("corrected", shift.probabilities)):
    loss = -np.mean(np.log(np.clip(q[np.arange(len(q)), column], 1e-12, None)))
    quasars = model.classes_[q.argmax(axis=1)] == "qso"
    print(f"   {name:>10}: log-loss {loss:.3f}, quasars found {np.mean(quasars[kind == 'qso']):.1%}"
          f", purity {np.mean(kind[quasars] == 'qso'):.1%}")  # fmt: skip

# --- 5. A caution --------------------------------------------------------------------------------
# This holds where only the shares have changed. Among still fainter sources the objects themselves
# are others; how many of them are unlike all training, an anomaly detector on the colours says.
detector = AnomalyDetector(("isolation_forest",), contamination=0.02, random_state=1)
rows = [k for k, name in enumerate(classes.feature_names) if "-" in name]


def take_colours(samples):
    """Colours of those that are seen in all bands."""
    colours = samples.X[:, rows]
    return colours[np.isfinite(colours).all(axis=1)]


detector.fit(take_colours(classes))
print("\n5. Share unlike the training by colours (2% there), of those seen in all bands:")
for low, high in ((18, 20), (20, 21), (21, 22)):
    other = simulate_photometry(3000, magnitude_min=low, magnitude_max=high, rng=3)
    colours = take_colours(extract_photometry(other, **usual))
    print(f"   r from {low} to {high}: {np.mean(detector.predict(colours) == -1):.1%} of "
          f"{len(colours)}")  # fmt: skip

# --- 6. Pictures ---------------------------------------------------------------------------------
figure = Figure(figsize=(13, 10), layout="constrained")
axes = figure.subplots(2, 2)
plot_redshifts(truth, found["redshift"], ax=axes[0, 0])
plot_pit(before, ax=axes[0, 1], label="networks as they are")
plot_pit(result, ax=axes[0, 1], label="calibrated")
plot_redshift_bins(result.by_magnitude, ax=axes[1, 0], label="networks", xlabel="r [mag]")
plot_redshift_bins(of_trees.by_magnitude, ax=axes[1, 0], label="trees", xlabel="r [mag]")
plot_redshift_intervals(truth, found["redshift"], ends, ax=axes[1, 1])
figure.savefig(folder / "photometric_redshifts.png", dpi=110)

grid = np.linspace(0, 1, 500)
density = estimator.predict_pdf(test, grid)
figure = Figure(figsize=(9, 5), layout="constrained")
axes = figure.subplots()
for row in np.argsort(found["odds"])[[3, len(test) // 8, len(test) // 2, -20]]:
    (line,) = axes.plot(grid, density[row], label=f"odds {found['odds'][row]:.2f}")
    axes.axvline(truth[row], color=line.get_color(), ls=":")
axes.set(xlabel="redshift (dotted: the truth)", ylabel="density", xlim=(0, 1))
axes.legend(frameon=False)
figure.savefig(folder / "redshift_densities.png", dpi=110)
print(f"\n6. Figures are in {folder}")
