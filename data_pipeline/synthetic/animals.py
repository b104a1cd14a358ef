"""The animals of the synthetic world, each a body with attributes.

An attribute is what can be seen and said of an animal. No two animals have the same, and every
value that an animal of the test has belongs to an animal of the training, too.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from animal_clip_jax.command_line import one_of
from animal_clip_jax.errors import UserError, quoted

Body = Literal["four-legged", "bird", "fish", "snake", "hopper"]
Wings = Literal["large", "small", "none"]
Neck = Literal["long", "short", "none"]
Tail = Literal["long", "short", "bushy", "none"]
Pattern = Literal["plain", "striped", "spotted"]
Colour = Literal[
    "black", "blue", "brown", "green", "grey", "orange", "pink", "red", "white", "yellow"
]
Size = Literal["small", "medium", "large"]

# Of each attribute, what there is.
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "body": get_args(Body),
        "colour": get_args(Colour),
        "pattern": get_args(Pattern),
        "markings": get_args(Colour),
        "neck": get_args(Neck),
        "tail": get_args(Tail),
        "wings": get_args(Wings),
        "size": get_args(Size),
    }
)
# Of each body, the parts that it can have.
PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "four-legged": {
            "neck": ("long", "short"),
            "tail": ("long", "short", "bushy", "none"),
            "wings": ("none",),
        },
        "bird": {
            "neck": ("long", "short", "none"),
            "tail": ("long", "short", "bushy"),
            "wings": ("large", "small"),
        },
        "fish": {"neck": ("none",), "tail": ("long", "short"), "wings": ("none",)},
        "snake": {"neck": ("none",), "tail": ("long",), "wings": ("none",)},
        "hopper": {
            "neck": ("short", "none"),
            "tail": ("long", "short", "none"),
            "wings": ("none",),
        },
    }
)


@dataclasses.dataclass(frozen=True)
class Animal:
    """What is to be seen of an animal.

    Attributes:
        name: as a label of the data set.
        body: how it is put together: how many legs, fins or wings follow from it.
        pattern: of the coat, in `markings` where it is not plain.

    Raises:
        UserError: there is no such value of an attribute, or not on such a body.
    """

    name: str
    body: Body
    colour: Colour
    pattern: Pattern
    markings: Colour
    neck: Neck
    tail: Tail
    wings: Wings
    size: Size

    def __post_init__(self) -> None:
        for field, known in VALUES.items():
            if (value := getattr(self, field)) not in known:
                raise UserError(
                    f"animal {quoted(self.name)}: no {field} is {quoted(str(value))}; "
                    f"there is {', '.join(known)}"
                )
        for field, known in PARTS[self.body].items():
            if (value := getattr(self, field)) not in known:
                raise UserError(
                    f"animal {quoted(self.name)}: the {field} {value!r} does not go with the body "
                    f"{self.body!r}, which has {', '.join(known)}"
                )

    @property
    def legs(self) -> int:
        """How many legs it has."""
        return {"four-legged": 4, "bird": 2, "fish": 0, "snake": 0, "hopper": 4}[self.body]

    @property
    def has_fins(self) -> bool:
        """Whether it has fins."""
        return self.body == "fish"

    def attributes(self) -> dict[str, str]:
        """All that tells it from others, by name of the attribute."""
        return {
            "body": self.body,
            "legs": str(self.legs),
            "wings": self.wings,
            "fins": "yes" if self.has_fins else "no",
            "neck": self.neck,
            "tail": self.tail,
            "pattern": self.pattern,
            "colour": self.colour,
            "markings": self.markings if self.pattern != "plain" else "none",
            "size": self.size,
        }


def _table(*rows: str) -> tuple[Animal, ...]:
    return tuple(Animal(*row.split()) for row in rows)  # type: ignore[arg-type]


# name, body, colour, pattern, markings, neck, tail, wings, size
ANIMALS: tuple[Animal, ...] = _table(
    "Bear         four-legged brown   plain    brown   short short  none  large ",
    "Cow          four-legged white   spotted  black   short long   none  large ",
    "Elephant     four-legged grey    plain    grey    short long   none  large ",
    "Fox          four-legged orange  plain    orange  short bushy  none  small ",
    "Giraffe      four-legged yellow  spotted  brown   long  long   none  large ",
    "Leopard      four-legged yellow  spotted  black   short long   none  medium",
    "Llama        four-legged white   plain    white   long  short  none  medium",
    "Pig          four-legged pink    plain    pink    short short  none  medium",
    "Skunk        four-legged black   striped  white   short bushy  none  small ",
    "Squirrel     four-legged red     plain    red     short bushy  none  small ",
    "Tiger        four-legged orange  striped  black   short long   none  large ",
    "Wolf         four-legged grey    plain    grey    short bushy  none  medium",
    "Crow         bird        black   plain    black   short short  large small ",
    "Flamingo     bird        pink    plain    pink    long  short  large large ",
    "Heron        bird        grey    plain    grey    long  short  large medium",
    "Ostrich      bird        black   plain    black   long  bushy  small large ",
    "Owl          bird        brown   spotted  white   none  short  large medium",
    "Parrot       bird        green   plain    green   short long   large small ",
    "Penguin      bird        blue    plain    blue    short short  small medium",
    "Clownfish    fish        orange  striped  white   none  short  none  small ",
    "Goldfish     fish        yellow  plain    yellow  none  long   none  small ",
    "Shark        fish        grey    plain    grey    none  long   none  large ",
    "Trout        fish        green   spotted  red     none  short  none  medium",
    "Adder        snake       grey    striped  black   none  long   none  small ",
    "Python       snake       brown   spotted  yellow  none  long   none  large ",
    "Frog         hopper      green   plain    green   none  none   none  small ",
    "Hare         hopper      brown   plain    brown   short short  none  small ",
    "Kangaroo     hopper      red     plain    red     short long   none  large ",
    # Never in training.
    "Camel        four-legged brown   plain    brown   long  long   none  large ",
    "Zebra        four-legged white   striped  black   short long   none  large ",
    "Dalmatian    four-legged white   spotted  black   short short  none  medium",
    "Swan         bird        white   plain    white   long  short  large medium",
    "Cardinal     bird        red     plain    red     short long   large small ",
    "Angelfish    fish        yellow  striped  black   none  long   none  medium",
    "Viper        snake       green   plain    green   none  long   none  medium",
    "Toad         hopper      brown   spotted  black   none  none   none  small ",
)
UNSEEN = ("Camel", "Zebra", "Dalmatian", "Swan", "Cardinal", "Angelfish", "Viper", "Toad")
NAMED: dict[str, Animal] = {animal.name: animal for animal in ANIMALS}


def named(name: str) -> Animal:
    """The animal of this name.

    Raises:
        UserError: there is none.
    """
    return NAMED[one_of(name, NAMED, what="animal")]
