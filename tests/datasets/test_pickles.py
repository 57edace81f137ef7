"""Pickles are read as data: what Python's own pickler writes reads back, and nothing in a file is ever run."""

import io
import os
import pickle
import struct

import numpy as np
import pytest

from cinecmr.datasets._pickles import parse, pickled, read_pickle
from cinecmr.errors import RefusedInput

RNG = np.random.default_rng(3)
ARRAYS = {
    "cine": RNG.integers(0, 900, (2, 3, 4, 5)).astype(np.int16),
    "big": RNG.normal(size=(3, 2)).astype(">f8"),
    "fortran": np.asfortranarray(RNG.normal(size=(4, 3)).astype(np.float32)),
    "mask": RNG.random((3, 3)) > 0.5,
    "empty": np.zeros((0, 3), np.uint8),
    "one": np.array(7.5),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_an_array_reads_back_from_every_protocol(protocol, name):
    array = ARRAYS[name]
    found = parse(pickle.dumps({"image_voxels": array}, protocol))["image_voxels"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_numbers_and_texts_read_back(protocol):
    shared = [1, -2, 3.5]
    held = {"a": [shared, shared, (), (1,), (1, 2), (1, 2, 3, 4)], "ä": "text\n", "b": b"\x00\xff", 5: None, "c": 2**70,
            "d": [True, False], "e": np.float64(1.25), "f": np.int32(-4), "g": [], "h": {}}  # fmt: skip
    assert parse(pickle.dumps(held, protocol)) == held


def test_what_python_2_wrote_reads_back():
    array = np.arange(6, dtype="<i2").reshape(2, 3)
    raw = array.tobytes()
    old = (
        b"\x80\x02}U\x0cimage_voxelscnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02i2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(raw)]) + raw + b"tbs."
    )
    np.testing.assert_array_equal(parse(old)["image_voxels"], array)


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_what_is_written_is_read_by_python_itself_and_by_us(name):
    array = ARRAYS[name]
    data = pickled({"voxels": array, "gap": 8.5})
    for read in (pickle.loads, parse):
        found = read(data)
        np.testing.assert_array_equal(found["voxels"], array)
        assert found["voxels"].shape == array.shape
        assert found["voxels"].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")  # Python turns bytes round
        assert found["gap"] == 8.5


class Trap:
    """Runs a command when Python unpickles it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_a_command_is_refused_and_the_command_not_run(protocol, tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "SAX.pickle"
    for trap in (Trap(os.mkdir, str(mark)), {"x": [Trap(eval, f"__import__('os').mkdir({str(mark)!r})")]}):
        path.write_bytes(pickle.dumps(trap, protocol))
        with pytest.raises(RefusedInput, match=r"names \w+\.\w+; only numeric arrays and plain containers are read"):
            read_pickle(path)
        assert not mark.exists()
    pickle.loads(path.read_bytes())  # the trap is a real one
    assert mark.exists()


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (np.array([{"a": 1}], object), "damaged"),
        (np.zeros(2, [("a", "i4"), ("b", "f8")]), "damaged|names"),
        ({1, 2}, "which arrays never need|names"),
        (complex(1, 2), "names"),
        (np.random.default_rng(0), "names"),
        (np.ma.masked_array([1, 2], [0, 1]), "names"),
        (np.array(["a"]), "damaged"),
    ],
)
def test_anything_but_numeric_arrays_is_refused(held, why):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(RefusedInput, match=why):
            parse(pickle.dumps(held, protocol))


def test_a_call_through_a_value_that_was_never_named_is_refused():
    for code in (
        b"\x80\x02]K\x01\x85R.",
        b"\x80\x02}(U\x01ak\x01b.",
        b"\x80\x02cnumpy\nndarray\n.",
        b"\x80\x02U\x02os\x81.",
    ):
        with pytest.raises(RefusedInput, match=r"not read|damaged|which arrays never need"):
            parse(code)


def test_damaged_pickles_are_refused_wherever_they_are_cut_or_bent():
    data = pickled(ARRAYS)
    for cut in range(0, len(data) - 1, 7):
        with pytest.raises(RefusedInput, match=r"damaged|too early|not read"):
            parse(data[:cut])
    rng = np.random.default_rng(0)
    for _ in range(300):
        bent = bytearray(data)
        bent[int(rng.integers(len(data)))] = int(rng.integers(256))
        try:  # numbers may change; nothing but a refusal may come of it
            parse(bytes(bent))
        except RefusedInput:
            continue


def test_a_container_within_itself_and_one_nested_without_end_are_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(RefusedInput, match="a container within itself"):
        parse(pickle.dumps(loop))
    with pytest.raises(RefusedInput, match="damaged"):
        parse(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")


def test_a_small_file_cannot_grow_without_end():
    """Lists of lists of one list: a billion entries on paper, twenty lists in memory."""
    stream = io.BytesIO()
    level = [0]
    for _ in range(60):
        level = [level, level]
    pickle.Pickler(stream, 4).dump(level)
    found, depth = parse(stream.getvalue()), 0
    while isinstance(found[0], list):
        assert found[0] is found[1]
        found, depth = found[0], depth + 1
    assert depth == 60


def test_an_array_that_claims_more_than_it_holds_is_refused():
    data = pickled({"voxels": np.zeros((2, 3), np.uint8)})
    claimed = data.replace(b"J" + struct.pack("<i", 3), b"J" + struct.pack("<i", 2**30))
    with pytest.raises(RefusedInput, match="damaged"):
        parse(claimed)
