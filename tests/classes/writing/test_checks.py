"""What is taken out of a model's answer, and what is rejected."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.classes.writing.answer_checks import normalised, parse_list, problem
from animal_clip_jax.classes.writing.questions import Answer
from animal_clip_jax.classes.writing.review import Review
from animal_clip_jax.text import tokenizer

ENGLISH = """\
The animal walks slowly across the dry grass, one foot always on the ground.
A crouched body springs forward, hind legs stretching while the front paws reach out.
Its long neck dips towards the water and the beak opens to take a fish.
With wings spread wide, it glides over the lake without a single beat.
Black stripes run vertically along white flanks and bend towards the rump.
Four thin legs carry a stocky, brown body through knee-deep snow.
Lying on its side, the animal lifts one hind leg and licks the inner thigh.
Small rounded ears sit high on a broad grey head.
Tail held upright, it trots past a fallen trunk.
Green scales glisten as the coiled body tightens around a branch.
Two animals press their foreheads together and push, hooves digging into mud.
Bright red feathers cover head and breast, while the wings show black bars.
It hangs upside down from a thin twig, wings folded tightly around its body.
The naïve cub’s muzzle is smeared with mud – it blinks.
""".splitlines()
OTHER = """\
L'animal marche lentement dans l'herbe sèche, une patte toujours au sol.
Un corps accroupi bondit vers l'avant et les pattes arrière se tendent.
Das Tier läuft langsam durch das trockene Gras und hebt den Kopf.
Ein gestreifter Körper liegt ruhig im Schatten eines Baumes.
El animal camina lentamente por la hierba seca con la cabeza baja.
L'animale cammina lentamente nell'erba secca con la testa bassa.
O animal caminha lentamente pela relva seca com a cabeça baixa.
As patas do animal movem-se devagar a cada passo.
Het dier loopt langzaam over de grond en is grijs of bruin.
Djuret går långsamt genom det torra gräset med huvudet sänkt.
Zwierzę idzie powoli przez suchą trawę z opuszczoną głową.
Hayvan kuru otların içinde yavaşça yürür ve başını eğer.
Hewan itu berjalan perlahan di atas rumput kering dengan kepala menunduk.
Eläin kävelee hitaasti kuivan ruohon läpi pää alhaalla.
动物在干草地上慢慢行走,头低着。
Животное медленно идёт по сухой траве, опустив голову.
動物が乾いた草の上をゆっくり歩いている。
الحيوان يمشي ببطء عبر العشب الجاف.
जानवर सूखी घास पर धीरे-धीरे चलता है।
""".splitlines()


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_accepted(text):
    assert problem(text) is None


@pytest.mark.parametrize("text", OTHER)
def test_other_languages_are_not(text):
    assert problem(text) == "not English"


def test_other_languages_where_any_will_do():
    assert problem(OTHER[0], language="any") is None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot describe the animal in this video.",
        "Sorry, I am not able to do that.",
        "I cannot provide a description of the animal.",
        "I can't write about the hunting of animals.",
        "As an AI language model, I do not see the animal.",
        "As an artificial intelligence, the video is not visible to me.",
        "Unfortunately, I have no view of the animal.",
        "The animal cannot be seen, as an AI has no eyes.",
    ],
)
def test_refusals(text):
    assert problem(text) == "a refusal"


@pytest.mark.parametrize(
    "text",
    [
        "The animal cannot stand on its hind legs for long.",
        "A sorry, wet figure sits in the rain with its ears down.",
    ],
)
def test_no_refusals(text):
    assert problem(text) is None


def test_what_clip_would_cut_is_rejected():
    assert problem("the " * 75) is None
    assert problem("the " * 76) == "longer than 77 CLIP tokens"
    assert problem("the animal " * 200) == "longer than 77 CLIP tokens"


@given(st.lists(st.sampled_from(["the", "animal", "with", "zygomorphic", "x-ray,"]), min_size=3))
def test_an_accepted_text_is_whole_in_clip(words):
    text = " ".join(words)
    row = tokenizer.tokenize([text], 1024)[0].tolist()
    fits = row.index(tokenizer.END_TOKEN) < tokenizer.CONTEXT_LENGTH
    assert (problem(text, language="any") is None) == fits


@pytest.mark.parametrize(
    "text, reason",
    [
        ("A zebra.", "fewer than 3 words"),
        ("The animal runs <|endoftext|> in the grass.", "not a text for CLIP's tokenizer"),
        ("The animal\ufffd runs in the grass.", "broken characters"),
    ],
)
def test_other_reasons(text, reason):
    assert problem(text) == reason


WORD = st.text(string.ascii_letters + "éß中,;'\"()", min_size=1, max_size=8).filter(
    lambda word: any(map(str.isalpha, word)) and word[0].isalpha() and word[-1].isalpha()
)
ITEM = st.lists(WORD, min_size=1, max_size=8).map(" ".join)


@given(
    st.lists(ITEM, min_size=1, max_size=12),
    st.sampled_from(["{}. ", "{}) ", "({}) ", "**{}.** ", "{}: ", "- ", "* ", "• ", "  {}. "]),
    st.sampled_from(["\n", "\n\n", "\r\n"]),
    st.sampled_from(["", "Here are the descriptions:\n\n", "```\n", "<think>\n1. Hm.\n</think>\n"]),
    st.sampled_from(["", "\n\nLet me know if you need more!", "\n```"]),
)
def test_the_items_of_a_list_come_back(items, bullet, line_end, before, after):
    listed = line_end.join(bullet.format(i) + item for i, item in enumerate(items, start=1))
    assert parse_list(before + listed + after) == items


@given(st.text())
def test_any_answer_gives_clean_lines(text):
    for item in parse_list(text):
        assert item.isprintable() and item == " ".join(item.split()) != ""


@pytest.mark.parametrize(
    "text, items",
    [
        ("", []),
        (" \n\n", []),
        ("Sure, here they are:\nIt walks.\n\nIt runs.\n", ["It walks.", "It runs."]),
        ("1. It walks\n   on two legs.\n2. It runs.", ["It walks on two legs.", "It runs."]),
        ('1. "It walks."\n2. “It runs.”\n3. **It** sits.', ["It walks.", "It runs.", "It sits."]),
        ("1.\n2. It runs.", ["It runs."]),
        ("1. It\u200b is\x00 seen.", ["It is seen."]),
        ("<think>1. It walks.", []),
        ("1. Hm.\n</think>\n1. It walks.", ["It walks."]),
        ("I'm sorry, I can't.", ["I'm sorry, I can't."]),
        ("1. It reaches\n2.5 m.\n10.It runs.", ["It reaches 2.5 m.", "It runs."]),
    ],
)
def test_answers_as_they_come(text, items):
    assert parse_list(text) == items


@given(ITEM)
def test_what_makes_no_difference_between_texts(text):
    for same in (text.upper(), f"  {text}.", text.replace(" ", ",  ")):
        assert normalised(same.lower()) == normalised(text)


A, B, C, D = ENGLISH[:4]


def listed(*texts: str) -> Answer:
    return Answer("\n".join(f"{i}. {text}" for i, text in enumerate(texts, 1)), is_cut=False)


def test_a_text_is_used_once():
    review = Review(["Walking", "Eating"], wanted=3)
    review.add("Walking", listed(A, A.upper(), B))
    review.add("Eating", listed(B.rstrip("."), C))
    assert review.accepted == {"Walking": [A, B], "Eating": [C]}
    assert review.rejected["Walking"] == [("a repetition", A.upper())]
    assert review.rejected["Eating"] == [("a text of 'Walking'", B.rstrip("."))]
    assert review.shortcomings() == [
        f"Walking: 2 of 3; rejected: 1x a repetition, such as {A.upper()[:59] + '…'!r}",
        f"Eating: 1 of 3; rejected: 1x a text of 'Walking', such as {B[:59] + '…'!r}",
    ]


def test_no_more_than_wanted_is_taken():
    review = Review(["Walking"], wanted=2)
    review.add("Walking", listed(A, B, C))
    assert review.accepted["Walking"] == [A, B] and not review.incomplete()
    assert review.rejected["Walking"] == []


def test_the_end_of_an_answer_that_was_cut_is_not_taken():
    review = Review(["Walking"], wanted=3)
    review.add("Walking", Answer(f"1. {A}\n2. {B[:30]}", is_cut=True))
    assert review.accepted["Walking"] == [A]
    assert review.rejected["Walking"] == [("cut off at the limit of tokens", B[:30].strip())]
    review.add("Walking", Answer("", is_cut=False))
    assert review.rejected["Walking"][1] == ("an empty answer", "")
