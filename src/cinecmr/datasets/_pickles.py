"""Pickles of arrays, numbers, texts and plain containers, read without ever running what they say.

Python's own reader imports and calls whatever a pickle names. This one walks the instructions (`pickletools` only
lists them) and builds the few things it knows itself; any other name, and any other instruction, is refused. It
imports and calls nothing that a file names, so a file can at worst be wrong.
"""

from __future__ import annotations

import pickletools
import re
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

LIMIT_BYTES = 1 << 30  # a short-axis cine of doubles takes 150 MB
_CODE = re.compile(r"[<>=|]?(b1|[iuf][1248])")
_MARK = object()
_NAMES = {
    **{f"numpy{core}.multiarray {name}": name for core in (".core", "._core") for name in ("_reconstruct", "scalar")},
    **{f"numpy{core}.numeric _frombuffer": "_frombuffer" for core in (".core", "._core")},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
    "builtins bytearray": "bytes",
    "builtins bytes": "bytes",
    "__builtin__ bytes": "bytes",
    "__builtin__ bytearray": "bytes",
}
_PLAIN = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_WRONG = (
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
)


@dataclass(frozen=True)
class _Name:
    """Something a pickle calls by name, and that this reader knows."""

    word: str


@dataclass
class _Dtype:
    """Element type to be: its code, and its byte order once that is told."""

    code: str
    order: str = "="

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.code if self.code[0] in "<>=|" else self.order + self.code)


@dataclass
class _Array:
    """An array to be: filled by a later instruction."""

    value: NDArray[Any] | None = None


def read_pickle(path: Path) -> Any:
    """What a pickle holds: dicts, lists, tuples, texts, bytes, numbers and numeric numpy arrays.

    Raises:
        RefusedInput: it names anything else (`unsafe-pickle`), or is damaged or too large (`bad-pickle`).
    """
    if path.stat().st_size > LIMIT_BYTES:
        raise RefusedInput("bad-pickle", f"{path} is larger than {LIMIT_BYTES >> 20} MB; it holds more than one image")
    return parse(path.read_bytes(), str(path))


def parse(data: bytes, where: str = "the pickle") -> Any:
    """As `read_pickle`, from bytes."""
    reader = _Reader(where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pickletools warns of odd texts in damaged files
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name == "STOP":
                    return _finished(reader.stack.pop(), {}, where)
                reader.step(opcode.name, argument)
    except _WRONG as error:
        raise RefusedInput("bad-pickle", f"{where} is damaged ({error}); copy it again") from error
    raise RefusedInput("bad-pickle", f"{where} ends too early; copy it again")


class _Reader:
    """A stack, a memory, and one small method for each kind of instruction."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _PLAIN:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            return
        elif name in _DO:
            _DO[name](self, argument)
        else:
            raise RefusedInput("unsafe-pickle", f"{self.where} asks for {name}, which arrays never need; not read")

    def since_mark(self) -> list[Any]:
        at = max(number for number, entry in enumerate(self.stack) if entry is _MARK)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def pop(self, count: int) -> tuple[Any, ...]:
        items = tuple(self.stack[len(self.stack) - count :])
        if len(items) < count:
            raise ValueError("an instruction lacks its operands")
        del self.stack[len(self.stack) - count :]
        return items

    def named(self, words: str) -> None:
        if words not in _NAMES:
            raise RefusedInput(
                "unsafe-pickle",
                f"{self.where} names {words.replace(' ', '.')}; only numeric arrays and plain containers are read, so "
                "that no file can run code",
            )
        self.stack.append(_Name(_NAMES[words]))

    def put(self, key: int | None) -> None:
        self.memory[len(self.memory) if key is None else key] = self.stack[-1]

    def make_dict(self, items: list[Any]) -> None:
        self.stack.append({})
        self.set_items(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise ValueError("entries for what is no dict")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("items for what is no list")
        target.extend(items)

    def reduce(self) -> None:
        name, arguments = self.pop(2)
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise RefusedInput("unsafe-pickle", f"{self.where} calls something it did not name; not read")
        self.stack.append(_call(name.word, arguments))

    def build(self) -> None:
        target, state = self.stack[-2], self.stack.pop()
        if isinstance(target, _Dtype):
            if any(state[2:5]) or state[1] not in ("<", ">", "|", "="):
                raise ValueError("an element type with fields")
            target.order = state[1]
        elif isinstance(target, _Array):
            _, shape, kind, fortran, raw = state
            target.value = _array(raw, kind, shape, "F" if fortran else "C")
        else:
            raise RefusedInput("unsafe-pickle", f"{self.where} sets the state of an object; not read")


_DO: dict[str, Callable[[_Reader, Any], None]] = {
    "MARK": lambda r, _: r.stack.append(_MARK),
    "POP": lambda r, _: r.stack.pop(),
    "POP_MARK": lambda r, _: r.since_mark().clear(),
    "EMPTY_DICT": lambda r, _: r.stack.append({}),
    "EMPTY_LIST": lambda r, _: r.stack.append([]),
    "EMPTY_TUPLE": lambda r, _: r.stack.append(()),
    "DICT": lambda r, _: r.make_dict(r.since_mark()),
    "LIST": lambda r, _: r.stack.append(r.since_mark()),
    "TUPLE": lambda r, _: r.stack.append(tuple(r.since_mark())),
    "TUPLE1": lambda r, _: r.stack.append(r.pop(1)),
    "TUPLE2": lambda r, _: r.stack.append(r.pop(2)),
    "TUPLE3": lambda r, _: r.stack.append(r.pop(3)),
    "SETITEM": lambda r, _: r.set_items(list(r.pop(2))),
    "SETITEMS": lambda r, _: r.set_items(r.since_mark()),
    "APPEND": lambda r, _: r.append(list(r.pop(1))),
    "APPENDS": lambda r, _: r.append(r.since_mark()),
    "PUT": lambda r, key: r.put(key),
    "BINPUT": lambda r, key: r.put(key),
    "LONG_BINPUT": lambda r, key: r.put(key),
    "MEMOIZE": lambda r, _: r.put(None),
    "GET": lambda r, key: r.stack.append(r.memory[key]),
    "BINGET": lambda r, key: r.stack.append(r.memory[key]),
    "LONG_BINGET": lambda r, key: r.stack.append(r.memory[key]),
    "GLOBAL": lambda r, words: r.named(words),
    "STACK_GLOBAL": lambda r, _: r.named(" ".join(map(str, r.pop(2)))),
    "REDUCE": lambda r, _: r.reduce(),
    "BUILD": lambda r, _: r.build(),
}


def _call(word: str, arguments: tuple[Any, ...]) -> Any:
    """What a known name gives for its arguments; nothing of the file is called."""
    if word == "_reconstruct":
        return _Array()
    if word == "dtype":
        if not isinstance(arguments[0], str) or not _CODE.fullmatch(arguments[0]):
            raise ValueError(f"elements of type {arguments[0]!r}")
        return _Dtype(arguments[0])
    if word == "scalar":
        kind, raw = arguments
        return _array(raw, kind, (), "C")[()]
    if word == "_frombuffer":
        raw, kind, shape, order = arguments
        return _Array(_array(raw, kind, shape, order))
    if word == "encode":
        return str(arguments[0]).encode("latin-1")
    if word == "bytes":
        return bytes(arguments[0]) if arguments and isinstance(arguments[0], bytes) else b""
    raise ValueError(f"{word} is no function")


def _array(raw: Any, kind: Any, shape: Any, order: Literal["C", "F"]) -> NDArray[Any]:
    if isinstance(raw, str):  # Python 2 wrote bytes as text
        raw = raw.encode("latin-1")
    if not isinstance(kind, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise ValueError("an array of objects")
    sizes = tuple(int(n) for n in shape)
    return np.frombuffer(raw, kind.numpy()).reshape(sizes, order=order).copy()


def _finished(value: Any, done: dict[int, Any], where: str) -> Any:
    """Placeholders replaced by their arrays; each container is copied once, however often it is named."""
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without contents")
        return value.value
    if isinstance(value, _Name | _Dtype) or value is _MARK:
        raise RefusedInput("unsafe-pickle", f"{where} holds a name, not data; not read")
    if not isinstance(value, dict | list | tuple):
        return value
    if id(value) in done:
        if done[id(value)] is _MARK:
            raise ValueError("a container within itself")
        return done[id(value)]
    done[id(value)] = _MARK
    if isinstance(value, dict):
        made: Any = {key: _finished(entry, done, where) for key, entry in value.items()}
    else:
        made = type(value)(_finished(entry, done, where) for entry in value)
    done[id(value)] = made
    return made


def pickled(entries: Mapping[str, NDArray[Any] | float]) -> bytes:
    """A pickle (protocol 3) of a dict of arrays and numbers, as any Python with numpy reads it."""
    body = b"".join(_text(key) + _value(value) for key, value in entries.items())
    return b"\x80\x03}(" + body + b"u."


def _value(value: NDArray[Any] | float) -> bytes:
    if isinstance(value, int | float):
        return b"G" + struct.pack(">d", value)
    array = np.asarray(value)
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    raw = array.tobytes()
    code, order = array.dtype.str[1:], array.dtype.str[0]
    kind = b"cnumpy\ndtype\n(" + _text(code) + b"\x89\x88tR(K\x03" + _text(order) + b"NNN" + b"J\xff\xff\xff\xff" * 2
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return made + b"(K\x01" + shape + kind + b"K\x00tb\x89" + b"B" + struct.pack("<I", len(raw)) + raw + b"tb"


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return b"X" + struct.pack("<I", len(data)) + data
