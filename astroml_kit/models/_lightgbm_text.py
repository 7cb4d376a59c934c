"""LightGBM's model text: reads every number of it first, since its own parser trusts the file.

The parser in C++ takes child indices, feature indices and array lengths at their word, so that a
crafted text could read outside its arrays or loop for ever. Nothing reaches it here that was not
parsed, bounded and written out again.
"""

from __future__ import annotations

import math
import re
from typing import Any

HEADER = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_names",
    "feature_infos",
)
OBJECTIVES = re.compile(r"binary sigmoid:1|multiclass num_class:\d{1,4}|regression|regression_l1")
RANGE = re.compile(r"none|\[[-+.e\d]{1,40}:[-+.e\d]{1,40}\]")
# Per tree: arrays over its splits and over its leaves, and whether their entries are integers.
OVER_SPLITS = {
    "split_feature": int,
    "split_gain": float,
    "threshold": float,
    "decision_type": int,
    "left_child": int,
    "right_child": int,
    "internal_value": float,
    "internal_weight": float,
    "internal_count": int,
}
OVER_LEAVES = {"leaf_value": float, "leaf_weight": float, "leaf_count": int}
LINEAR = ("leaf_const", "num_features", "leaf_features", "leaf_coeff")
FOR_SCORING = (
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
)
MOST_LEAVES = 1 << 17


def write_booster(booster: Any) -> str:
    """Text of a booster: its trees and nothing else, numbers as LightGBM wrote them."""
    return _clean_text(booster.model_to_string())[0]


def load_booster(
    text: str, *, n_features: int | None = None, n_outputs: int | None = None
) -> tuple[Any, list[dict[str, Any]]]:
    """Return a `lightgbm.Booster` from text whose every number has been checked, and its trees.

    Parameters
    ----------
    text : str
        What `write_booster` wrote.
    n_features, n_outputs : int, optional
        Columns it must take and raw scores it must give.

    Raises
    ------
    ValueError
        When the text is not a model, or not such a model.
    """
    import lightgbm

    clean, trees = _clean_text(text, n_features=n_features, n_outputs=n_outputs)
    try:
        return lightgbm.Booster(model_str=clean), trees
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"LightGBM cannot read the trees: {error}") from error


def _clean_text(
    text: str, *, n_features: int | None = None, n_outputs: int | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Parse, check and write out again; unknown lines are left out. The trees as lists besides."""
    body, ending, _ = text.partition("\nend of trees")
    if not ending or not body.startswith("tree\n"):
        raise ValueError("the trees must lie between 'tree' and 'end of trees'")
    head, *blocks = body.split("\nTree=")
    header = dict(line.split("=", 1) for line in head.splitlines()[1:] if "=" in line)
    columns = _check_header(header, n_features=n_features, n_outputs=n_outputs)
    if not blocks or len(blocks) % int(header["num_tree_per_iteration"]):
        raise ValueError(f"the number of trees must fill whole rounds, got {len(blocks)}")
    lines = ["tree", *(f"{key}={header[key]}" for key in HEADER), ""]
    trees = []
    for index, block in enumerate(blocks):
        checked, tree = _check_tree(block, index, columns)
        lines += [f"Tree={index}", *checked, "", ""]
        trees.append(tree)
    return "\n".join([*lines, "end of trees", ""]), trees


def _check_header(header: dict[str, str], *, n_features: int | None, n_outputs: int | None) -> int:
    """Return the number of feature columns after checking the header's few lines."""
    missing = [key for key in HEADER if key not in header]
    if missing:
        raise ValueError(f"the header of the trees lacks {missing}")
    columns = _parse(header["max_feature_idx"], int, 1)[0] + 1
    classes = _parse(header["num_class"], int, 1)[0]
    per_round = _parse(header["num_tree_per_iteration"], int, 1)[0]
    objective = header["objective"]
    if not OBJECTIVES.fullmatch(objective):
        raise ValueError(f"the objective must be one of ours, got {objective[:40]!r}")
    expected = int(objective.rpartition(":")[2]) if objective.startswith("multi") else 1
    if not classes == per_round == expected or expected < 1:
        raise ValueError("the number of classes must match the objective")
    if n_outputs is not None and expected != n_outputs:
        raise ValueError(f"the trees give {expected} scores per sample, not {n_outputs}")
    if columns < 1 or (n_features is not None and columns != n_features):
        raise ValueError(f"the trees take {columns} features, not {n_features}")
    for key in ("feature_names", "feature_infos"):
        if len(header[key].split()) != columns or not header[key].isascii():
            raise ValueError(f"{key} must have one entry for each of {columns} features")
    if not all(map(RANGE.fullmatch, header["feature_infos"].split())):
        raise ValueError("feature_infos must be ranges")
    if header["version"] not in ("v3", "v4") or header["label_index"] != "0":
        raise ValueError(f"the trees have an unknown version, {header['version'][:20]!r}")
    return columns


def _check_tree(block: str, index: int, columns: int) -> tuple[list[str], dict[str, Any]]:
    """Return the lines of one tree and what they say; indices, lengths and numbers are checked."""
    number, _, rest = block.partition("\n")
    if number.strip() != str(index):
        raise ValueError(f"tree {index} must come in order, got {number[:20]!r}")
    fields = dict(line.split("=", 1) for line in rest.splitlines() if "=" in line)
    try:
        n_leaves = _parse(fields["num_leaves"], int, 1)[0]
        if not 1 <= n_leaves <= MOST_LEAVES or fields["num_cat"] != "0":
            raise ValueError("its leaves or its categories are out of range")
        linear = _parse(fields["is_linear"], int, 1)[0]
        if linear not in (0, 1):
            raise ValueError("is_linear must be 0 or 1")
        keep = ["num_leaves", "num_cat"]
        arrays: dict[str, list[Any]] = {}
        for names, length in ((OVER_SPLITS, n_leaves - 1), (OVER_LEAVES, n_leaves)):
            for name, kind in names.items():
                # A tree without splits is one value, and LightGBM weighs it nothing.
                empty = n_leaves == 1 and name == "leaf_weight" and not fields[name]
                arrays[name] = _parse(
                    # The threshold inf parts numbers from NaN.
                    fields[name],
                    kind,
                    0 if empty else length,
                    infinite=name == "threshold",
                )
                keep.append(name)
        if n_leaves > 1:
            _check_shape(arrays, columns)
        keep.append("is_linear")
        if linear:
            counts = _parse(fields["num_features"], int, n_leaves)
            if min(counts) < 0 or max(counts) > columns:
                raise ValueError("its leaves use more features than there are")
            used = _parse(fields["leaf_features"], int, sum(counts))
            if used and not (min(used) >= 0 and max(used) < columns):
                raise ValueError("its leaves use features that do not exist")
            _parse(fields["leaf_const"], float, n_leaves)
            _parse(fields["leaf_coeff"], float, sum(counts))
            keep += LINEAR
        _parse(fields["shrinkage"], float, 1)
        keep.append("shrinkage")
    except KeyError as error:
        raise ValueError(f"tree {index} lacks {error}") from error
    except ValueError as error:
        raise ValueError(f"tree {index} is damaged: {error}") from error
    tree = {"num_leaves": n_leaves, "is_linear": bool(linear)}
    tree |= {key: arrays[key] for key in FOR_SCORING}
    return [f"{key}={fields[key]}" for key in keep], tree


def _check_shape(arrays: dict[str, list[Any]], columns: int) -> None:
    """Every split below an earlier one, every split and leaf reached once, known features only."""
    if not (min(arrays["split_feature"]) >= 0 and max(arrays["split_feature"]) < columns):
        raise ValueError("it splits on features that do not exist")
    # Bit 0 is a categorical split; bits 1 to 3 say where missing values go.
    if any(kind & 1 or not 0 <= kind < 12 for kind in arrays["decision_type"]):
        raise ValueError("its decision types are unknown")
    splits, leaves = set(), set()
    for parent, children in enumerate(
        zip(arrays["left_child"], arrays["right_child"], strict=True)
    ):
        for child in children:
            if child > parent:
                splits.add(child)
            elif child < 0:
                leaves.add(~child)
            else:
                raise ValueError("it has a loop")
    n_splits = len(arrays["left_child"])
    if splits != set(range(1, n_splits)) or leaves != set(range(n_splits + 1)):
        raise ValueError("its splits do not form a tree")


def _parse(text: str, kind: type, length: int, *, infinite: bool = False) -> list[Any]:
    """Return ``length`` finite numbers; Python's own reading of underscores and spaces is out."""
    words = text.split()
    if len(words) != length:
        raise ValueError(f"{length} numbers are needed, got {len(words)}")
    if not text.isascii() or "_" in text:
        raise ValueError("numbers must be plain")
    values = [kind(word) for word in words]
    if kind is float and any(math.isnan(v) or (math.isinf(v) and not infinite) for v in values):
        raise ValueError("numbers must be finite")
    if kind is int and values and max(map(abs, values)) > 2**31 - 1:
        raise ValueError("integers must fit 32 bits")
    return values
