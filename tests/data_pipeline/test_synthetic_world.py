"""The synthetic world: what its animals look like, what they do, and what is said of them."""

import csv
import dataclasses
import io
import itertools
import re

import numpy as np
import pytest
import tiny_run
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.relation_graph import read_taxonomy
from animal_clip_jax.errors import UserError
from data_pipeline.synthetic.animals import ANIMALS, NAMED, PARTS, UNSEEN, VALUES, Animal, named
from data_pipeline.synthetic.bodies import drawn
from data_pipeline.synthetic.clips import render_clip, render_still
from data_pipeline.synthetic.description_files import TRAINED_ACTIONS, of_the_world
from data_pipeline.synthetic.motions import ACTIONS, PAIR_OF, PAIRS, actions_of
from data_pipeline.synthetic.parts import COLOURS, Pose
from data_pipeline.synthetic.scenes import SCENES
from data_pipeline.synthetic.stills import CAPTIONS, captioned_stills, creature
from data_pipeline.synthetic.texts import caption

DESCRIPTIONS = tiny_run.ROOT / "configs" / "demo_descriptions"
SMALL = {"num_frames": 4, "size": (24, 24)}
TRAINED = [animal for animal in ANIMALS if animal.name not in UNSEEN]

seeds = st.integers(0, 2**63)
animals = st.sampled_from(ANIMALS)
scenes = st.sampled_from(SCENES)
FOX = {
    **{"name": "Fox", "body": "four-legged", "colour": "orange", "pattern": "plain"},
    **{"markings": "orange", "neck": "short", "tail": "bushy", "wings": "none", "size": "small"},
}


class TestAnimals:
    def test_unseen_ones_have_attributes_of_trained_ones_in_another_combination(self):
        assert len(ANIMALS) >= 24 and len(UNSEEN) >= 6
        for animal in map(named, UNSEEN):
            for attribute, value in animal.attributes().items():
                assert any(other.attributes()[attribute] == value for other in TRAINED), animal
        looks = [tuple(animal.attributes().values()) for animal in ANIMALS]
        assert len(set(looks)) == len(ANIMALS)

    def test_each_has_a_trained_one_of_its_body(self):
        assert {animal.body for animal in map(named, UNSEEN)} <= {one.body for one in TRAINED}

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("colour", "purple", "animal 'Fox': no colour is 'purple'; there is black, blue, "),
            ("pattern", "chequered", "no pattern is 'chequered'; there is plain, striped, spotted"),
            ("markings", "", "no markings is ''; there is black"),
            ("body", "insect", "no body is 'insect'; there is four-legged, bird, "),
            ("size", "tiny", "no size is 'tiny'; there is small, medium, large"),
            ("wings", "large", "the wings 'large' does not go with the body 'four-legged', which"),
            ("neck", "none", "the neck 'none' does not go with the body 'four-legged'"),
        ],
    )
    def test_attributes_that_no_animal_has_are_refused(self, field, value, message):
        assert Animal(**FOX) == named("Fox")
        with pytest.raises(UserError, match=message):
            Animal(**{**FOX, field: value})

    def test_an_unknown_name_is_refused(self):
        with pytest.raises(UserError, match="no animal 'Zebr'; did you mean Zebra.*Bear, Cow"):
            named("Zebr")

    def test_every_attribute_can_be_drawn_and_is_seen(self):
        """Of each body, every part that it can have gives other polygons."""
        assert set(VALUES["colour"]) == set(COLOURS)
        for body, parts in PARTS.items():
            pictures = []
            for neck, tail, wings in itertools.product(*parts.values()):
                looks = {"body": body, "neck": neck, "tail": tail, "wings": wings}
                for pattern, markings in (("plain", "orange"), ("striped", "blue")):
                    animal = Animal(**{**FOX, **looks, "pattern": pattern, "markings": markings})
                    shapes = drawn(animal, Pose())
                    pictures.append(b"".join(s.points.tobytes() + bytes(s.colour) for s in shapes))
            assert len(set(pictures)) == len(pictures), body


class TestClips:
    @pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
    @settings(max_examples=4)
    @given(data=st.data(), scene=scenes, seed=seeds)
    def test_each_action_is_its_partner_played_backwards(self, pair, data, scene, seed):
        animal = data.draw(st.sampled_from([one for one in ANIMALS if pair.suits(one)]))
        forward, backward = (
            render_clip(animal, action, scene, seed, **SMALL)
            for action in (pair.name, pair.reverse)
        )
        np.testing.assert_array_equal(backward, forward[::-1])
        assert (forward != backward).any()

    @settings(max_examples=6)
    @given(animal=animals, scene=scenes, seed=seeds)
    def test_same_seed_same_clip(self, animal, scene, seed):
        def clip(seed: int) -> np.ndarray:
            return render_clip(animal, "Approaching", scene, seed, num_frames=3, size=(24, 32))

        assert clip(seed).shape == (3, 24, 32, 3) and clip(seed).dtype == np.uint8
        np.testing.assert_array_equal(clip(seed), clip(seed))
        assert (clip(seed) != clip(seed + 1)).mean() > 0.5

    @settings(max_examples=6)
    @given(scene=scenes, seed=seeds, data=st.data())
    def test_background_is_the_same_for_every_animal_and_action(self, scene, seed, data):
        shown = []
        for _ in range(2):
            animal = data.draw(animals)
            shown.append((animal, data.draw(st.sampled_from(actions_of(animal)))))
        first, second = (
            render_clip(animal, action, scene, seed, num_frames=2, size=(40, 40))
            for animal, action in shown
        )
        # The camera's shake is played backwards with the rest.
        if ACTIONS.index(shown[0][1]) % 2 != ACTIONS.index(shown[1][1]) % 2:
            second = second[::-1]
        assert ((first == second).all(axis=-1).mean(axis=(1, 2)) > 0.1).all()

    @pytest.mark.parametrize("seed", range(4))
    def test_motions_are_large_and_relative_to_the_head(self, seed):
        """Measured in the pixels of the cardinal, the one red thing in the picture."""

        def measure(action: str) -> np.ndarray:
            """A row a frame: centre x and y, top, area; then on which side the head is."""
            rows = []
            clip = render_clip(named("Cardinal"), action, "snow", seed, num_frames=6)
            for frame in clip.astype(int):
                y, x = np.nonzero(frame[..., 0] - frame[..., 1] > 60)
                head = x[np.argsort(y)[: len(x) // 6]].mean() - x.mean()
                rows.append((x.mean(), y.mean(), y.min(), len(x), np.sign(head)))
            return np.array(rows)

        walking, backing = measure("Walking"), measure("Backing away")
        facing = walking[3, 4]
        assert (walking[-1, 0] - walking[0, 0]) * facing > 0.25 * 64
        assert (backing[-1, 0] - backing[0, 0]) * facing < -0.25 * 64
        area = measure("Approaching")[:, 3]
        assert (np.diff(area) > 0).all() and area[-1] > 2.5 * area[0]
        assert measure("Flying up")[-1, 1] < measure("Flying up")[0, 1] - 0.2 * 64
        top = measure("Lying down")[:, 2]
        assert top[-1] - top[0] > 2  # more than the camera's shake

    def test_both_directions_are_equally_frequent(self):
        """Walking cardinals go left or right, as often."""
        to_the_right = 0
        for seed in range(60):
            ends = render_clip(
                named("Cardinal"), "Walking", "snow", seed, num_frames=2, size=(32, 32)
            ).astype(int)
            left, right = (np.nonzero(f[..., 0] - f[..., 1] > 60)[1].mean() for f in ends)
            to_the_right += right > left
        assert 18 <= to_the_right <= 42  # beyond: 1 in 1000 for a fair coin

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"action": "Flying"}, "no action 'Flying'.*Walking"),
            ({"action": "Flying up"}, "'Fox' is not able to 'Flying up': .* 'four-legged'"),
            ({"scene": "moon"}, "no scene 'moon'.*grassland"),
            ({"num_frames": 1}, "found 1 of 64 x 64"),
            ({"size": (64, 4)}, "found 16 of 64 x 4"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, arguments, message):
        clip = {"animal": named("Fox"), "action": "Walking", "scene": "snow", "seed": 0}
        with pytest.raises(UserError, match=message):
            render_clip(**{**clip, **arguments})


class TestBodies:
    """What an animal is able to follows from its body, as in nature."""

    def test_only_winged_ones_fly_and_only_finned_ones_dive(self):
        for animal in ANIMALS:
            able = actions_of(animal)
            assert ("Flying up" in able) == (animal.wings == "large"), animal
            assert ("Diving" in able) == animal.has_fins == ("Surfacing" in able), animal
            assert ("Coiling" in able) == (animal.body == "snake"), animal
            assert ("Jumping" in able) == (animal.body == "hopper"), animal
            assert not {"Walking", "Standing up"} & set(able) or animal.legs, animal
            assert "Lowering the head" not in able or animal.neck != "none", animal
        assert "Flying up" not in actions_of(named("Penguin"))
        assert "Flying up" not in actions_of(named("Ostrich"))

    def test_a_frogs_jump_is_not_a_kangaroos(self):
        """One is in the air once, the other bounces."""

        def landings(name: str, seed: int) -> int:
            motion = PAIR_OF["Jumping"].move(np.random.default_rng(seed), 48, named(name))
            is_low = np.diff(np.r_[-np.inf, motion.y]) > 0
            return int((is_low[1:-1] & ~is_low[2:]).sum())

        for seed in range(20):
            assert landings("Frog", seed) == 0
            assert landings("Kangaroo", seed) >= 1

    def test_no_action_is_of_one_animal_alone(self):
        for pair in PAIRS:
            assert sum(map(pair.suits, TRAINED)) >= 2, pair.name


BODY_PHRASES = {
    "animal with four legs": "four-legged",
    "bird with two legs": "bird",
    "fish with fins and no legs": "fish",
    "snake without legs": "snake",
    "animal with strong hind legs": "hopper",
}
PATTERNS = {"stripes": "striped", "spots": "spotted"}
POSTURES = {
    "lying on the ground": lambda still: still.pose.fold > 0.5,
    "with its head down at the ground": lambda still: still.pose.bow > 0.5,
    "with its legs apart in a step": lambda still: still.pose.stride is not None,
    "with raised wings": lambda still: still.pose.wings > 0,
    "with spread wings in the air": lambda still: still.pose.wings <= 0.2,
    "wound into a coil": lambda still: still.pose.coil > 0.5,
    "stretched out": lambda still: still.pose.coil < 0.5,
    "with stretched hind legs in a jump": lambda still: still.pose.spring > 0.5,
    "standing with its head up": lambda still: max(still.pose.fold, still.pose.bow) < 0.5,
    "high up": lambda still: still.y < 0.5,
    "low down": lambda still: still.y > 0.5,
    "close to the viewer": lambda still: still.size > 0.7,
    "far away": lambda still: still.size < 0.5,
    "on a steep slope with its front up": lambda still: still.pitch > 20,
    "with its front down": lambda still: still.pitch < 0,
}
SCENE_PHRASES = {
    "in green grassland": "grassland",
    "in a yellow desert": "desert",
    "in white snow": "snow",
    "in a dark forest": "forest",
    "at a blue lake": "lake",
    "among grey rocks": "rocks",
}


def said_of(part: str) -> dict[str, str]:
    """The attributes that a part of a sentence tells of an animal, by its words alone."""
    bodies = "|".join(BODY_PHRASES)
    if found := re.fullmatch(rf"an? (?:(small|medium|large) )?(?:(\w+) )?({bodies})", part):
        size, colour, body = found.groups()
        said = {"size": size, "colour": colour, "body": BODY_PHRASES[body]}
        return {name: value for name, value in said.items() if value}
    if found := re.fullmatch(r"a plain (\w+) coat", part):
        return {"pattern": "plain", "colour": found[1]}
    if found := re.fullmatch(r"a (\w+) coat with (\w+) (stripes|spots)", part):
        return {"colour": found[1], "markings": found[2], "pattern": PATTERNS[found[3]]}
    if found := re.fullmatch(r"(?:a )?(\w+) (neck|tail|wings)", part):
        return {found[2]: "none" if found[1] == "no" else found[1]}
    if (found := re.fullmatch(r"an? (\w+)", part)) and found[1].capitalize() in NAMED:
        return {"name": found[1].capitalize()}
    raise AssertionError(f"not understood: {part!r}")


def attributes_in(sentence: str) -> tuple[dict[str, str], list[str]]:
    """The attributes in a sentence, and its other parts."""
    said: dict[str, str] = {}
    others = []
    for part in sentence.split(", "):
        if part in POSTURES or part in SCENE_PHRASES:
            others.append(part)
            continue
        pieces = re.split(r" and (?=a |no (?!legs)|large |small )", part.removeprefix("with "))
        for piece in pieces:
            said |= said_of(piece)
    return said, others


class TestTexts:
    @settings(max_examples=60)
    @given(animal=animals, data=st.data(), scene=scenes, seed=st.integers(0, 2**32))
    def test_captions_say_what_is_true(self, animal, data, scene, seed):
        rng = np.random.default_rng(seed)
        pair = PAIR_OF[data.draw(st.sampled_from(actions_of(animal)))]
        still = render_still(animal, pair, scene, rng, size=8)
        sentence = caption(
            animal,
            scene,
            still.pose,
            y=still.y,
            size=still.size,
            pitch=still.pitch,
            rng=rng,
            may_be_named=animal.name not in UNSEEN,
        )
        said, others = attributes_in(sentence)
        truth = dataclasses.asdict(animal)
        assert said and said.items() <= truth.items(), sentence
        assert not any(name.lower() in sentence.split() for name in UNSEEN)
        for phrase in others:
            if phrase in SCENE_PHRASES:
                assert SCENE_PHRASES[phrase] == scene
            else:
                assert POSTURES[phrase](still), (sentence, still)
                assert animal.legs or "standing" not in phrase

    def test_descriptions_of_animals_tell_all_attributes_and_no_name(self):
        told = {}
        for row in csv.DictReader(io.StringIO(of_the_world()["animals.csv"])):
            animal, text = named(row["animal"]), row["description"]
            said, others = attributes_in(text)
            truth = dataclasses.asdict(animal)
            assert said.items() <= truth.items() and not others, text
            assert "name" not in said
            told.setdefault(animal.name, {}).update(said)
        visible = {"body", "colour", "pattern", "neck", "tail", "size"}
        for name, said in told.items():
            assert said.keys() >= visible, name
            assert ("wings" in said) == (named(name).body == "bird")
        assert len({tuple(sorted(said.items())) for said in told.values()}) == len(ANIMALS)

    def test_the_committed_files_are_those_of_the_templates(self):
        for name, content in of_the_world().items():
            assert (DESCRIPTIONS / name).read_text() == content, (
                "python -m data_pipeline.synthetic.description_files "
                "--output=configs/demo_descriptions"
            )
        names = sorted(NAMED)
        texts = read_descriptions(DESCRIPTIONS / "animals.csv", names)
        assert {len(of_one) for of_one in texts} == {3}
        actions = read_descriptions(DESCRIPTIONS / "actions.csv", sorted(TRAINED_ACTIONS))
        assert len(set(itertools.chain(*actions))) == 2 * len(TRAINED_ACTIONS) == 32
        classes = read_taxonomy(DESCRIPTIONS / "animal_classes.csv", names)
        assert classes == [NAMED[name].body for name in names]


class TestStills:
    def test_creatures_have_all_attributes_but_are_no_withheld_animal(self):
        rng = np.random.default_rng(0)
        drawn = [creature(rng) for _ in range(2000)]
        withheld = [NAMED[name].attributes() for name in UNSEEN]
        assert all(animal.attributes() not in withheld for animal in drawn)
        for attribute in NAMED["Fox"].attributes():
            found = {animal.attributes()[attribute] for animal in drawn}
            assert found >= {animal.attributes()[attribute] for animal in ANIMALS}
        # Many combinations, so that no attribute comes with another.
        assert len({tuple(animal.attributes().values()) for animal in drawn}) > 1000

    def test_training_never_shows_an_unseen_animal(self):
        shown = list(captioned_stills("train", 2 * len(TRAINED), seed=0, size=16))
        labels = [still.label for still in shown]
        assert set(labels) == {animal.name for animal in TRAINED} | {""}
        assert labels.count("") == len(TRAINED)
        in_test = list(captioned_stills("test", len(ANIMALS), seed=0, size=16))
        assert {still.label for still in in_test} == set(NAMED)
        images = {still.image for still in shown + in_test}
        assert len(images) == len(shown) + len(in_test)
        for still in shown + in_test:
            with Image.open(io.BytesIO(still.image)) as image:
                assert image.size == (16, 16) and image.mode == "RGB"
            assert len(still.texts) == CAPTIONS and all(still.texts)
            for text in still.texts:
                assert not any(name.lower() in text.split() for name in UNSEEN)

    def test_a_seed_gives_the_same_and_more_begin_with_the_fewer(self):
        few = list(captioned_stills("train", 3, seed=5, size=16))
        assert list(captioned_stills("train", 6, seed=5, size=16))[:3] == few
        other = list(captioned_stills("train", 3, seed=6, size=16))
        assert all(one.image != two.image for one, two in zip(few, other, strict=True))
