import pickle

import numpy as np
import pytest

from astroml_kit.samples import Samples


def make():
    return Samples(
        np.arange(6.0).reshape(3, 2), y=[0, 1, -1], groups=[7, 7, 8], feature_names=("a", "b")
    )


def test_select_keeps_everything_aligned():
    picked = make().select([True, False, True])
    np.testing.assert_array_equal(picked.X, [[0, 1], [4, 5]])
    np.testing.assert_array_equal(picked.y, [0, -1])
    np.testing.assert_array_equal(picked.groups, [7, 8])
    assert picked.weights is None


def test_stack_undoes_select():
    samples = make()
    again = Samples.stack([samples.select([0]), samples.select(slice(1, None))])
    np.testing.assert_array_equal(again.X, samples.X)
    np.testing.assert_array_equal(again.groups, samples.groups)


def test_stack_refuses_what_it_cannot_join():
    with pytest.raises(ValueError, match="must all have y or none"):
        Samples.stack([make(), Samples([[1.0, 2.0]], groups=[1], feature_names=("a", "b"))])
    with pytest.raises(ValueError, match="same feature_names"):
        Samples.stack([make(), Samples([[1.0, 2.0]], y=[1], groups=[1])])
    with pytest.raises(ValueError, match="non-empty"):
        Samples.stack([])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="lengths must be equal, got X 2, y 3"):
        Samples([[1.0], [2.0]], y=[1, 2, 3])
    with pytest.raises(ValueError, match="got 1 names for shape"):
        Samples([[1.0, 2.0]], feature_names=("a",))
    with pytest.raises(ValueError, match="scalar"):
        Samples(3.0)


def test_it_is_frozen():
    samples = make()
    with pytest.raises(AttributeError):
        samples.X = None
    with pytest.raises(TypeError):
        samples.meta["a"] = 1


def test_str_is_a_logbook_line():
    assert str(make()) == "Samples: 3 x 2, y -1: 1, 0: 1, 1: 1, 2 groups"


def test_it_travels_to_worker_processes():
    again = pickle.loads(pickle.dumps(Samples([[1.0]], y=[1], meta={"run": 7})))
    assert again.meta["run"] == 7
    assert again.y.tolist() == [1]
