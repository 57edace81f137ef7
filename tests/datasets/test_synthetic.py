"""A pool of synthetic stacks on disk."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.datasets import synthetic
from cinecmr.datasets.synthetic import PoolRecipe, make_pool, read_pool, shard_path, write_shard
from cinecmr.phantom.stacks import StackRecipe

TINY = PoolRecipe(subjects=4, first_seed=3, moments=2, per_shard=2, stack=StackRecipe(pixels=16, slices=3))


def made(seed, recipe, moments):
    """Stands in for the phantom where only the files are asked about: stacks that tell their seed."""
    shape = (recipe.slices, recipe.pixels, recipe.pixels)
    return [(np.full(shape, 10 * seed + m, np.uint8), np.full(shape, m, np.uint8)) for m in range(moments)]


@pytest.fixture
def quick(monkeypatch):
    """A list that gets the seed of every subject made, without the phantom's seconds."""
    seeds = []

    def noted(seed, recipe, moments):
        seeds.append(seed)
        return made(seed, recipe, moments)

    monkeypatch.setattr(synthetic, "training_stacks", noted)
    return seeds


def test_a_pool_holds_every_subject_in_order(tmp_path, quick):
    images, labels = read_pool(make_pool(tmp_path, TINY))
    assert quick == [3, 4, 5, 6]
    assert images.shape == labels.shape == (8, 3, 16, 16)
    assert images.dtype == labels.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [30, 31, 40, 41, 50, 51, 60, 61]
    assert labels[:, 0, 0, 0].tolist() == [0, 1] * 4


def test_a_pool_goes_on_where_it_was_killed(tmp_path, monkeypatch, quick):
    def killed(seed, recipe, moments):
        if seed == 6:
            raise KeyboardInterrupt
        return made(seed, recipe, moments)

    monkeypatch.setattr(synthetic, "training_stacks", killed)
    with pytest.raises(KeyboardInterrupt):
        make_pool(tmp_path, TINY)
    place = tmp_path / TINY.key
    assert sorted(path.name for path in place.iterdir()) == ["recipe.json", "shard_0000.npz"]
    monkeypatch.undo()
    monkeypatch.setattr(synthetic, "training_stacks", lambda *a: quick.append(a[0]) or made(*a))
    told = []
    make_pool(tmp_path, TINY, progress=lambda *pair: told.append(pair))
    assert quick == [5, 6]
    assert told == [(2, 2)]


def test_a_kill_while_writing_leaves_no_half_shard(tmp_path, monkeypatch, quick):
    def full_disk(file, **arrays):
        file.write(b"half of a shard")
        raise OSError("no space left")

    monkeypatch.setattr(synthetic.np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_shard(tmp_path, TINY, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_is_there_is_not_made_again(tmp_path, quick):
    write_shard(tmp_path, TINY, 1)
    write_shard(tmp_path, TINY, 1)
    assert quick == [5, 6]


def test_a_pool_can_grow_and_other_settings_lie_elsewhere(tmp_path, quick):
    make_pool(tmp_path, TINY)
    make_pool(tmp_path, replace(TINY, subjects=6))
    assert quick == [3, 4, 5, 6, 7, 8]
    assert replace(TINY, subjects=6).key == TINY.key
    others = [replace(TINY, moments=1), replace(TINY, first_seed=9), replace(TINY, stack=StackRecipe(pixels=32))]
    assert len({recipe.key for recipe in [TINY, *others]}) == 4


def test_subjects_that_do_not_fill_their_shards_are_refused():
    with pytest.raises(ValueError, match="subjects must fill whole shards of 25, got 30"):
        PoolRecipe(subjects=30)


def test_a_shard_of_real_phantoms_is_the_same_made_alone_or_in_its_pool(tmp_path):
    recipe = PoolRecipe(subjects=2, moments=1, per_shard=1, stack=StackRecipe(pixels=16, pixel_mm=9.0, slices=3))
    pool = make_pool(tmp_path / "pool", recipe)
    alone = write_shard(tmp_path, recipe, 1)
    with np.load(alone) as one, np.load(pool[1]) as other:
        np.testing.assert_array_equal(one["images"], other["images"])
        np.testing.assert_array_equal(one["labels"], other["labels"])
        assert set(np.unique(one["labels"])) <= {0, 1, 2, 3}
        assert len(np.unique(one["images"])) > 20


@pytest.mark.slow
def test_two_workers_make_the_pool_one_makes(tmp_path):
    recipe = PoolRecipe(subjects=2, moments=1, per_shard=1, stack=StackRecipe(pixels=16, pixel_mm=9.0, slices=3))
    together, alone = make_pool(tmp_path / "two", recipe, workers=2), make_pool(tmp_path / "one", recipe)
    for first, second in zip(together, alone, strict=True):
        with np.load(first) as one, np.load(second) as other:
            np.testing.assert_array_equal(one["images"], other["images"])
            np.testing.assert_array_equal(one["labels"], other["labels"])


def test_shards_are_named_in_the_order_they_are_read(tmp_path):
    names = [shard_path(tmp_path, number).name for number in (0, 9, 10, 100)]
    assert names == sorted(names)
