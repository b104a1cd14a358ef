"""What is asked of the trainings: which of two is right more often, and on which clips."""

from typing import NamedTuple


class Side(NamedTuple):
    """A trained variant, told of the animals from a source."""

    variant: str
    source: str


class Claim(NamedTuple):
    """That one side is right more often than another.

    Attributes:
        text: for a reader; continues with the question's name.
        ours, theirs: the sides.
        questions: on which clips.
    """

    text: str
    ours: Side
    theirs: Side
    questions: tuple[str, ...]


class Expectation(NamedTuple):
    """What was expected before anything was trained.

    Attributes:
        text: for a reader.
        ours, theirs: the sides.
        question: on which clips.
        least: points by which ours is to be better; None where it is only not to be worse.
    """

    text: str
    ours: Side
    theirs: Side
    question: str
    least: float | None


_ALONE = Side("video-descriptions", "none")
_SEEN_AND_NEW = ("seen pairs", "unseen animals")
_MAIN = ("seen pairs", "unseen pairs", "unseen animals", "shifted background")
_PUBLISHED = Side("published", "labels")
_RECOGNISED = Side("published", "predicted")

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Descriptions rather than names, video tower alone",
        _ALONE,
        Side("video-names", "none"),
        ("seen pairs", "unseen animals", "unseen action"),
    ),
    Claim(
        "Descriptions rather than names, as published, animals given",
        _PUBLISHED,
        Side("published-names", "labels"),
        ("seen pairs", "unseen animals", "unseen action"),
    ),
    Claim(
        "Descriptions rather than names, as published, animals recognised",
        _RECOGNISED,
        Side("published-names", "predicted"),
        ("seen pairs", "unseen animals", "unseen action"),
    ),
    Claim("Refinement with given animals rather than none", _PUBLISHED, _ALONE, _MAIN),
    Claim("Refinement with recognised animals rather than none", _RECOGNISED, _ALONE, _MAIN),
    Claim("The graph alone rather than no refinement", Side("graph-only", "labels"), _ALONE, _MAIN),
    Claim(
        "The prompts alone rather than no refinement", Side("prompts-only", "labels"), _ALONE, _MAIN
    ),
    Claim(
        "Zero-shot recognition rather than a linear probe",
        _RECOGNISED,
        Side("published", "learned"),
        _SEEN_AND_NEW,
    ),
    Claim(
        "Half of the animals withheld in training, none given",
        Side("dropout", "none"),
        Side("published", "none"),
        _MAIN,
    ),
    *(
        Claim(text, Side(variant, "labels"), _PUBLISHED, _MAIN)
        for variant, text in (
            ("taxonomy", "A graph inherited by taxonomy"),
            ("similarity", "A graph by similar descriptions"),
            ("averaged", "An averaged graph"),
            ("gate", "A gate on the refinement"),
        )
    ),
    Claim(
        "Animals from the video rather than none",
        Side("from-video", "none"),
        Side("dropout", "none"),
        _MAIN,
    ),
    *(
        Claim(
            f"Recommended, animals {words}, rather than the video tower alone",
            Side("recommended", source),
            _ALONE,
            (*_MAIN, "unseen action"),
        )
        for source, words in (
            ("predicted", "recognised"),
            ("labels", "given"),
            ("none", "not given"),
        )
    ),
    Claim(
        "All mended rather than as published, animals recognised",
        Side("mended", "predicted"),
        _RECOGNISED,
        _MAIN,
    ),
    Claim(
        "All mended, animals recognised, rather than the video tower alone",
        Side("mended", "predicted"),
        _ALONE,
        _MAIN,
    ),
    Claim(
        "Recommended rather than as published, animals recognised",
        Side("recommended", "predicted"),
        _RECOGNISED,
        (*_MAIN, "unseen action"),
    ),
)

EXPECTED: tuple[Expectation, ...] = (
    Expectation(
        "Descriptions beat names by 5 points on unseen animals: video tower alone",
        _ALONE,
        Side("video-names", "none"),
        "unseen animals",
        5.0,
    ),
    Expectation(
        "the same, as published, animals recognised",
        _RECOGNISED,
        Side("published-names", "predicted"),
        "unseen animals",
        5.0,
    ),
    *(
        Expectation(
            f"Refinement with recognised animals beats none, {words}, on {question}",
            side,
            _ALONE,
            question,
            0.0,
        )
        for side, words in (
            (_RECOGNISED, "as published"),
            (Side("recommended", "predicted"), "as recommended"),
        )
        for question in _SEEN_AND_NEW
    ),
    Expectation(
        "What is recommended does not lose on unseen pairs",
        Side("recommended", "predicted"),
        _ALONE,
        "unseen pairs",
        None,
    ),
)
