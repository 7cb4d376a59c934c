"""Neighbours on the sphere without lists of them: a tree is walked, so that memory stays small."""

import numpy as np
from numba import njit

OUTSIDE, PARTLY, INSIDE = -1, 0, 1
NO_CORE, MIXED = -1, -2
# A node is taken or left as a whole only when rounding cannot change the answer.
_MARGIN = 1e-12
_MOST_DEPTH = 128


@njit(cache=True, nogil=True, error_model="numpy")
def _find_share(chord_square, angle):
    """Separation of a chord between unit vectors, as a share of ``angle``."""
    return 2 * np.arcsin(min(1.0, 0.5 * np.sqrt(chord_square))) / angle


@njit(cache=True, nogil=True, error_model="numpy")
def _is_near(one, other, limit, angle, cylinder):
    """Whether two points are neighbours: unit vectors first, further axes in units of theirs."""
    square = 0.0
    for k in range(3):
        square += (one[k] - other[k]) ** 2
    if square > limit:
        return False
    rest = 0.0
    for k in range(3, len(one)):
        step = (one[k] - other[k]) ** 2
        if step > 1:
            return False
        rest += step
    if cylinder or len(one) == 3:
        return True
    if rest > 1:
        return False
    return _find_share(square, angle) ** 2 + rest <= 1


@njit(cache=True, nogil=True, error_model="numpy")
def _place_node(point, low, high, limit, angle, cylinder):
    """Where a box lies: outside the neighbourhood of a point, inside, or partly."""
    nearest = farthest = 0.0
    for k in range(3):
        below, above = point[k] - low[k], high[k] - point[k]
        nearest += max(0.0, -below, -above) ** 2
        farthest += max(abs(below), abs(above)) ** 2
    if nearest > limit * (1 + _MARGIN):
        return OUTSIDE
    whole = farthest <= limit * (1 - _MARGIN)
    if len(point) == 3:
        return INSIDE if whole else PARTLY
    rest_nearest = rest_farthest = 0.0
    for k in range(3, len(point)):
        below, above = point[k] - low[k], high[k] - point[k]
        step, far = max(0.0, -below, -above) ** 2, max(abs(below), abs(above)) ** 2
        if step > 1 + _MARGIN:
            return OUTSIDE
        whole = whole and far <= 1 - _MARGIN
        rest_nearest += step
        rest_farthest += far
    if cylinder:
        return INSIDE if whole else PARTLY
    if _find_share(nearest, angle) ** 2 + rest_nearest > 1 + _MARGIN:
        return OUTSIDE
    if whole and _find_share(farthest, angle) ** 2 + rest_farthest <= 1 - _MARGIN:
        return INSIDE
    return PARTLY


@njit(cache=True, nogil=True, error_model="numpy")
def _push_children(stack, depth, node, starts, place):
    """Put both children on the stack, the one that holds ``place`` on top: it comes first."""
    left, right = 2 * node + 1, 2 * node + 2
    if place >= starts[right]:
        stack[depth], stack[depth + 1] = left, right
    else:
        stack[depth], stack[depth + 1] = right, left
    return depth + 2


@njit(cache=True, nogil=True, error_model="numpy")
def _place_boxes(one, other, low, high, limit, angle, cylinder):
    """Whether no, every or some point of a box is a neighbour of those of another box."""
    nearest = farthest = 0.0
    for k in range(3):
        gap = max(low[other, k] - high[one, k], low[one, k] - high[other, k], 0.0)
        span = max(high[other, k] - low[one, k], high[one, k] - low[other, k])
        nearest += gap**2
        farthest += span**2
    if nearest > limit * (1 + _MARGIN):
        return OUTSIDE
    whole = farthest <= limit * (1 - _MARGIN)
    if low.shape[1] == 3:
        return INSIDE if whole else PARTLY
    rest_nearest = rest_farthest = 0.0
    for k in range(3, low.shape[1]):
        gap = max(low[other, k] - high[one, k], low[one, k] - high[other, k], 0.0)
        span = max(high[other, k] - low[one, k], high[one, k] - low[other, k])
        if gap**2 > 1 + _MARGIN:
            return OUTSIDE
        whole = whole and span**2 <= 1 - _MARGIN
        rest_nearest += gap**2
        rest_farthest += span**2
    if cylinder:
        return INSIDE if whole else PARTLY
    if _find_share(nearest, angle) ** 2 + rest_nearest > 1 + _MARGIN:
        return OUTSIDE
    if whole and _find_share(farthest, angle) ** 2 + rest_farthest <= 1 - _MARGIN:
        return INSIDE
    return PARTLY


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_nodes(weight, starts, ends, leaf):
    """Weight of every node."""
    total = np.zeros(len(starts))
    for node in range(len(starts) - 1, -1, -1):
        if leaf[node]:
            for j in range(starts[node], ends[node]):
                total[node] += weight[j]
        else:
            total[node] = total[2 * node + 1] + total[2 * node + 2]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def find_core(points, weight, starts, ends, leaf, low, high, limit, angle, cylinder, needed):
    """Mark the points whose neighbourhoods, themselves included, weigh ``needed`` or more.

    ``points`` are in the order of the tree, which is walked once for all points of a leaf. What
    lies wholly near the leaf is counted as a whole, and that ends as soon as there is enough:
    dense regions are cheap. The other leaves are looked at point by point.
    """
    core = np.zeros(len(points), dtype=np.bool_)
    total = _sum_nodes(weight, starts, ends, leaf)
    near = np.empty(len(starts), dtype=np.int64)
    stack = np.empty(_MOST_DEPTH, dtype=np.int64)
    for own in range(len(starts)):
        if not leaf[own]:
            continue
        whole, n_near = 0.0, 0
        stack[0], depth = 0, 1
        while depth > 0 and whole < needed:
            depth -= 1
            node = stack[depth]
            where = _place_boxes(own, node, low, high, limit, angle, cylinder)
            if where == OUTSIDE:
                continue
            if where == INSIDE:
                whole += total[node]
            elif leaf[node]:
                near[n_near] = node
                n_near += 1
            else:
                depth = _push_children(stack, depth, node, starts, starts[own])
        for i in range(starts[own], ends[own]):
            core[i] = whole >= needed or _is_enough(
                points, weight, i, whole, near[:n_near], starts, ends, low, high, limit, angle,
                cylinder, needed,
            )  # fmt: skip
    return core


@njit(cache=True, nogil=True, error_model="numpy")
def _is_enough(
    points, weight, i, found, near, starts, ends, low, high, limit, angle, cylinder, needed
):
    """Whether some leaves bring the weight near point ``i`` from ``found`` to ``needed``."""
    for node in near:
        where = _place_node(points[i], low[node], high[node], limit, angle, cylinder)
        if where == OUTSIDE:
            continue
        for j in range(starts[node], ends[node]):
            if where == INSIDE or _is_near(points[i], points[j], limit, angle, cylinder):
                found += weight[j]
                if found >= needed:
                    return True
    return found >= needed


@njit(cache=True, nogil=True, error_model="numpy")
def _find_root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True, error_model="numpy")
def _join(parent, i, j):
    one, other = _find_root(parent, i), _find_root(parent, j)
    if one < other:
        parent[other] = one
        return one
    parent[one] = other
    return other


@njit(cache=True, nogil=True, error_model="numpy")
def _find_first_core(core, starts, ends):
    """First core point of every node, or `NO_CORE`."""
    following = np.empty(len(core) + 1, dtype=np.int64)
    following[len(core)] = len(core)
    for i in range(len(core) - 1, -1, -1):
        following[i] = i if core[i] else following[i + 1]
    first = np.empty(len(starts), dtype=np.int64)
    for node in range(len(starts)):
        found = following[starts[node]]
        first[node] = found if found < ends[node] else NO_CORE
    return first


@njit(cache=True, nogil=True, error_model="numpy")
def join_core(points, core, starts, ends, leaf, low, high, limit, angle, cylinder):
    """Return a core point that stands for the cluster of each core point.

    A node whose core points are known to be of one cluster is ``joined``: it is passed over as a
    whole by leaves of that cluster, which makes dense regions cheap. The tree is walked once for
    all points of a leaf, and a pair of leaves is looked at when it is the turn of the first.
    """
    parent = np.arange(len(points))
    first = _find_first_core(core, starts, ends)
    joined = np.zeros(len(starts), dtype=np.bool_)
    stack = np.empty(_MOST_DEPTH, dtype=np.int64)
    for own in range(len(starts)):
        if not leaf[own] or first[own] == NO_CORE:
            continue
        _join_leaves(points, core, parent, joined, own, own, starts, ends, low, high, limit, angle,
                     cylinder)  # fmt: skip
        stack[0], depth = 0, 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if first[node] == NO_CORE or ends[node] <= ends[own]:
                continue
            if not joined[node] and not leaf[node]:
                joined[node] = _are_joined(parent, first, joined, 2 * node + 1)
            both = joined[own] and joined[node]
            if both and _find_root(parent, first[node]) == _find_root(parent, first[own]):
                continue
            where = _place_boxes(own, node, low, high, limit, angle, cylinder)
            if where == OUTSIDE:
                continue
            if where == INSIDE and both:
                _join(parent, first[own], first[node])
            elif leaf[node]:
                _join_leaves(points, core, parent, joined, own, node, starts, ends, low, high,
                             limit, angle, cylinder)  # fmt: skip
            else:
                depth = _push_children(stack, depth, node, starts, starts[own])
    for i in range(len(points)):
        parent[i] = _find_root(parent, i)
    return parent


@njit(cache=True, nogil=True, error_model="numpy")
def _join_leaves(
    points, core, parent, joined, own, node, starts, ends, low, high, limit, angle, cylinder
):
    """Join the core points of two leaves, or of one, that are near each other."""
    for i in range(starts[own], ends[own]):
        if not core[i]:
            continue
        where = _place_node(points[i], low[node], high[node], limit, angle, cylinder)
        if where == OUTSIDE:
            continue
        root = _find_root(parent, i)
        for j in range(i + 1 if own == node else starts[node], ends[node]):
            if not core[j] or _find_root(parent, j) == root:
                continue
            if where == INSIDE or _is_near(points[i], points[j], limit, angle, cylinder):
                root = _join(parent, root, j)
                if joined[node]:  # and with it all others there
                    if joined[own]:
                        return
                    break
    for one in (own, node):
        joined[one] = joined[one] or _is_one(core, parent, starts[one], ends[one])


@njit(cache=True, nogil=True, error_model="numpy")
def _is_one(core, parent, start, end):
    """Whether all core points of a leaf are of one cluster."""
    root = NO_CORE
    for i in range(start, end):
        if core[i]:
            found = _find_root(parent, i)
            if root not in (NO_CORE, found):
                return False
            root = found
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _are_joined(parent, first, joined, left):
    """Whether the core points of two siblings are known to be of one cluster."""
    right = left + 1
    if first[left] == NO_CORE:
        return joined[right]
    if first[right] == NO_CORE:
        return joined[left]
    if not (joined[left] and joined[right]):
        return False
    return _find_root(parent, first[left]) == _find_root(parent, first[right])


@njit(cache=True, nogil=True, error_model="numpy")
def label_nodes(labels, core, starts, ends, leaf):
    """Label of the core points of each node, `MIXED` for several, `NO_CORE` for none."""
    found = np.full(len(starts), NO_CORE)
    for node in range(len(starts) - 1, -1, -1):
        if leaf[node]:
            for j in range(starts[node], ends[node]):
                if core[j]:
                    found[node] = labels[j] if found[node] in (NO_CORE, labels[j]) else MIXED
        else:
            one, other = found[2 * node + 1], found[2 * node + 2]
            if one == NO_CORE or other == NO_CORE:
                found[node] = max(one, other) if MIXED not in (one, other) else MIXED
            else:
                found[node] = one if one == other else MIXED
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def reach_points(
    wanted, points, labels, core, node_labels, starts, ends, leaf, low, high, limit, angle, cylinder
):
    """Lowest label among the core points near each wanted point; -1 where none is near."""
    reached = np.full(len(wanted), -1)
    stack = np.empty(_MOST_DEPTH, dtype=np.int64)
    for i in range(len(wanted)):
        best = np.iinfo(np.int64).max
        stack[0], depth = 0, 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            label = node_labels[node]
            if label == NO_CORE or label >= best:
                continue
            where = _place_node(wanted[i], low[node], high[node], limit, angle, cylinder)
            if where == OUTSIDE:
                continue
            if where == PARTLY and not leaf[node]:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node + 2
                depth += 2
                continue
            if where == INSIDE and label != MIXED:
                best = label
                continue
            for j in range(starts[node], ends[node]):
                if (
                    core[j]
                    and labels[j] < best
                    and (where == INSIDE or _is_near(wanted[i], points[j], limit, angle, cylinder))
                ):
                    best = labels[j]
        if best != np.iinfo(np.int64).max:
            reached[i] = best
    return reached
