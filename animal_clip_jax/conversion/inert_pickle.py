"""The data in a pickle, read without running anything.

A pickle is a program for a small stack machine, whose instructions may call any function that is
installed. This machine calls none: a function's or class's name becomes a `Named`, what would be
called becomes what the caller of `read` says, or an inert `Holder`. It needs no stack of its own
for what is nested, hashes nothing but numbers and texts, and does at most one step of work for each
byte of the pickle, so that a crafted one can neither crash nor outlast it.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from animal_clip_jax.errors import shortened

# Bytes of a pickle. Those of published checkpoints are a few hundred thousand.
LARGEST = 8 * 2**20


class PickleError(ValueError):
    """A pickle that is damaged, or one of something else than data."""


class Named(NamedTuple):
    """A class or function of which only the name is known."""

    module: str
    name: str


class Holder(dict):
    """Stands for an object of a class that is not loaded: keeps its items and attributes."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        super().__init__()
        self.attributes: dict[Any, Any] = {}


class Stateful(Holder):
    """A `Holder` that keeps the state that it is given, as numpy's arrays are; None before."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        super().__init__()
        self.state: Any = None


class PlainDict(dict):
    """In the place of an ordered dictionary, whose attributes are dropped."""

    __slots__ = ()


# What a name is called with -> what comes of it.
Calls = Mapping[Named, Callable[[tuple[Any, ...]], Any]]

_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,
}
# Instructions whose argument is a number or a text, which they push: their names end so.
_LITERALS = (
    *("INT", "INT1", "INT2", "LONG", "LONG1", "LONG4", "FLOAT"),
    *("STRING", "UNICODE", "UNICODE8", "BYTES", "BYTES8", "BYTEARRAY8"),
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# May be keys: hashing a nested tuple would take a call for each level.
_KEYS = (str, int, float, bytes, type(None))


class Read(NamedTuple):
    """What a pickle holds, and how many bytes long it is."""

    value: Any
    length: int


def read(
    content: bytes,
    *,
    calls: Calls,
    persistent: Callable[[Any], Any] | None = None,
    largest: int = LARGEST,
) -> Read:
    """What a pickle holds.

    Args:
        content: begins with the pickle.
        calls: the functions that are known.
        persistent: the object of a persistent id; None if there are none.
        largest: at most so many bytes of the content are looked at.

    Returns:
        numbers, texts, lists (for sets, too), tuples, dictionaries (without items whose keys are
        neither numbers nor texts), `Named`s, `Holder`s, and what `calls` and `persistent` return.

    Raises:
        PickleError: it is damaged, too long, or does what data need not.
    """
    machine = _Machine(calls, persistent or _no_persistent, len(content))
    try:
        for instruction, argument, position in pickletools.genops(content[:largest]):
            if instruction.name == "STOP":
                return Read(machine.pop(), (position or 0) + 1)
            machine.step(instruction.name, argument)
    except PickleError:
        raise
    # Arguments that do not parse; a stack with too little on it, or something else than expected.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        if len(content) > largest:
            raise PickleError(f"a pickle of more than {largest:,} bytes") from error
        raise PickleError(f"a pickle that cannot be followed: {shortened(error)}") from error
    raise AssertionError("genops ends with STOP or raises")


def _no_persistent(identifier: Any) -> Any:
    raise PickleError("a pickle that refers to objects outside of it")


class _Machine:
    def __init__(self, calls: Calls, persistent: Callable[[Any], Any], length: int):
        self._calls = calls
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        # Items that may be copied. Each item of an honest pickle stands in it, and is copied once.
        self._copies_left = length

    def pop(self) -> Any:
        if self._marks and self._marks[-1] == len(self._stack):
            raise PickleError("a pickle that takes more from its stack than it has put there")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
        push = self._stack.append
        if name.endswith(_LITERALS):
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _EMPTY:
            push(_EMPTY[name]())
        elif name in _TUPLES:
            push(tuple(reversed([self.pop() for _ in range(_TUPLES[name])])))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            push(self._memo[argument])
        elif name not in ("PROTO", "FRAME"):
            action = getattr(self, f"_{name.lower()}", None)
            if action is None:
                raise PickleError(f"a pickle with the instruction {name}, which data do not need")
            action(argument)

    # The instructions, by name.

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _pop(self, _: None) -> None:
        # As Python does: a mark is popped where there is nothing after it.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _pop_mark(self, _: None) -> None:
        self._pop_to_mark()

    def _dup(self, _: None) -> None:
        self._stack.append(self._stack[-1])

    def _tuple(self, _: None) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _list(self, _: None) -> None:
        self._stack.append(self._pop_to_mark())

    def _dict(self, _: None) -> None:
        self._stack.append(_with_items({}, self._pop_to_mark()))

    def _frozenset(self, _: None) -> None:
        self._list(None)

    def _append(self, _: None) -> None:
        self._extend([self.pop()])

    def _appends(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _additems(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Holder):
            raise PickleError(f"a pickle that appends to a {type(target).__name__}")

    def _setitem(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def _setitems(self, _: None) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise PickleError(f"a pickle that sets items of a {type(target).__name__}")
        _with_items(target, items)

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(Named(module, name))

    def _stack_global(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("a pickle that names a function by something else than texts")
        self._stack.append(Named(module, name))

    def _reduce(self, _: None) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(arguments, tuple):
            raise PickleError("a pickle that calls a function with something else than arguments")
        name = function if isinstance(function, Named) else None
        if name == ("collections", "OrderedDict"):
            self._stack.append(self._ordered(arguments))
        elif name is not None and name in self._calls:
            self._stack.append(self._calls[name](arguments))
        else:
            self._stack.append(Holder())

    def _ordered(self, arguments: tuple[Any, ...]) -> PlainDict:
        pairs = arguments[0] if arguments else []
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
        ):
            raise PickleError("an ordered dictionary of something else than pairs")
        self._copies_left -= len(pairs)
        if self._copies_left < 0:
            raise PickleError("a pickle that copies more than it holds")
        return _with_items(PlainDict(), [part for pair in pairs for part in pair])

    def _newobj(self, _: None) -> None:
        self.pop(), self.pop()
        self._stack.append(Holder())

    def _newobj_ex(self, _: None) -> None:
        self.pop(), self.pop(), self.pop()
        self._stack.append(Holder())

    def _inst(self, _: str) -> None:
        self._pop_to_mark()
        self._stack.append(Holder())

    def _obj(self, _: None) -> None:
        self._pop_to_mark()
        self._stack.append(Holder())

    def _build(self, _: None) -> None:
        state, target = self.pop(), self._stack[-1]
        if isinstance(target, Stateful):
            target.state = state
        elif isinstance(target, Holder):
            if isinstance(state, dict):
                target.attributes = state
        elif not isinstance(target, PlainDict):
            raise PickleError(f"a pickle that changes a {type(target).__name__}")

    def _binpersid(self, _: None) -> None:
        self._stack.append(self._persistent(self.pop()))


def _with_items(target: Any, items: list[Any]) -> Any:
    if len(items) % 2:
        raise PickleError("a pickle with a key that has no value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(key, _KEYS):
            target[key] = value
    return target
