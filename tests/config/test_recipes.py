"""A recipe is data: what it may say, and what is refused."""

import pytest

from dogs_vs_cats.config import backbones, recipe_files, recipes
from dogs_vs_cats.errors import UserError
from support.commands import RETRAIN, TINY


def test_the_seed_is_the_2017_network_and_fast_the_default():
    seed = recipe_files.read("seed")
    assert (seed.features.size, seed.features.tap, seed.features.pooling) == (
        224,
        "block5_pool",
        "flatten",
    )
    assert (seed.head.hidden, seed.head.dropout, seed.head.standardise) == ((256,), 0.6, False)
    assert {"fast", "best", "seed"} <= set(recipe_files.names())
    assert recipe_files.read("best").features.size == 320


def test_recipes_whose_weights_are_not_to_be_had_here_say_so():
    for name in "dinov2", "inceptionv3", "resnet50", "vgg19":
        assert recipe_files.read(name).about.endswith(": not measured here")


BAD = {
    "unknown key": ("[head]", "[head]\nlearning_speed = 1", "learning_speed"),
    "unknown kind of head": (
        "[head]",
        '[head]\nkind = "svm"',
        "head.kind in bad.toml must be one of keras",
    ),
    "missing key": ("epochs = 3", "", "epochs"),
    "unknown backbone": ('"vgg16"', '"vgg99"', "vgg16"),
    "unknown tap": ('"block5_pool"', '"block6_pool"', "block5_conv3"),
    "unknown view": ('["plain", "mirror"]', '["plain", "upside-down"]', "mirror"),
    "no view": ('["plain", "mirror"]', "[]", "list"),
    "text for a number": ("size = 32", 'size = "32"', "whole number"),
    "true for a number": ("epochs = 3", "epochs = true", "whole number"),
    "too small": ("size = 32", "size = 8", "32 to 2048"),
    "dropout of one": ("dropout = 0.2", "dropout = 1.0", "below 1"),
    "unknown optimiser": ('"adam"', '"magic"', "adamw"),
    "not toml": ("[head]", "[head", "TOML"),
    "a section as value": ("about =", "features = 3\nabout =", "TOML"),
    "seeds twice": ("seeds = [1]", "seeds = [1, 1]", "different"),
    "maps without retraining": ('"avgmax"', '"none"', "[retrain]"),
    "twins as a number": ("[features]", "twins = 0\n[features]", "true or false"),
    "nan": ("learning_rate = 1e-3", "learning_rate = nan", "above 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recipe_is_refused_with_the_key_and_what_is_allowed(here, case):
    old, new, words = BAD[case]
    assert old in TINY
    path = here / "bad.toml"
    path.write_text(TINY.replace(old, new))
    with pytest.raises(UserError, match=r"bad.toml") as error:
        recipe_files.read("bad.toml")
    assert words in str(error.value)


NEAR = {
    '"vgg16"': ('"VGG-16"', "not 'VGG-16'. Did you mean 'vgg16'?"),
    '"block5_pool"': ('"block5_pol"', "not 'block5_pol'. Did you mean 'block5_pool'?"),
    '"adam"': ('"adma"', "adamw, rmsprop, sgd, not 'adma'. Did you mean 'adam'?"),
    '["plain", "mirror"]': ('["plain", "miror"]', "not ['plain', 'miror']. Did you mean 'mirror'?"),
    "epochs": ("epoch", "Unknown key 'epoch' in [head] of bad.toml: known are "),
    "size": ("sise", ". Did you mean 'size'?"),
}


@pytest.mark.parametrize("old", NEAR)
def test_what_was_meant_is_said(here, old):
    new, words = NEAR[old]
    assert old in TINY
    (here / "bad.toml").write_text(TINY.replace(old, new))
    with pytest.raises(UserError) as error:
        recipe_files.read("bad.toml")
    assert words in str(error.value)


def test_a_recipe_that_is_not_there_may_be_another(here):
    for name, meant in {
        "bset": "best",
        "Best": "best",
        "fast sede": "seed",
        "best.toml": "best",
        "tiny": "tiny.toml",
        "./tinny.toml": "tiny.toml",
        "nosuchfolder/seed.toml": "seed",
    }.items():
        with pytest.raises(UserError, match=rf"\. Did you mean '{meant}'\?$"):
            recipe_files.read(name)
    with pytest.raises(UserError, match=r"or a \.toml file\.$"):
        recipe_files.read("quick")


def test_twins_are_settled_unless_a_recipe_or_a_blend_says_otherwise(here):
    assert not recipe_files.read("seed").twins
    assert recipe_files.read("fast").twins
    assert recipe_files.read("seed fast").twins, "members have no say"
    blend = 'about = ""\nmembers = ["fast", "best"]\n'
    for key, expected in ("", True), ("twins = true\n", True), ("twins = false\n", False):
        (here / "own.toml").write_text(key + TINY)
        (here / "both.toml").write_text(key + blend)
        assert recipe_files.read("own.toml").twins == expected
        assert recipe_files.read("both.toml").twins == expected
    (here / "both.toml").write_text("twins = 1\n" + blend)
    with pytest.raises(UserError, match=r"twins in both\.toml must be true or false, not 1"):
        recipe_files.read("both.toml")


def test_layers_are_retrained_on_maps_from_a_tap_below_them(here):
    maps = TINY.replace('"avgmax"', '"none"').replace('"block5_pool"', '"block4_pool"')
    (here / "deep.toml").write_text(maps + RETRAIN)
    found = recipe_files.read("deep.toml")
    assert (found.features.dimension(), found.retrain.epochs) == (2 * 2 * 512, 1)
    for text, words in (
        (TINY + RETRAIN, 'pooling = "none"'),
        (TINY.replace('"avgmax"', '"none"') + RETRAIN, "block5_pool"),
        (maps + RETRAIN.replace('"avg"', '"none"'), "retrain.pooling"),
        (maps + RETRAIN.replace("epochs = 1", ""), "epochs"),
    ):
        (here / "deep.toml").write_text(text)
        with pytest.raises(UserError, match=r"deep.toml") as error:
            recipe_files.read("deep.toml")
        assert words in str(error.value)


def test_a_zero_shot_head_is_given_the_logits_of_imagenets_classes(here):
    text = (recipe_files.FOLDER / "zero-shot.toml").read_text()
    for old, new, words in (
        ('"avg"', '"avgmax"', 'tap = "logits" and pooling = "avg"'),
        ('0-classifier"\ntap = "logits"', '0"\ntap = "top_out"', "efficientnet-lite2-classifier"),
        ('kind = "zero-shot"', 'kind = "zero-shot"\nC = 1', "Unknown key 'C'"),
    ):
        assert old in text
        (here / "bad.toml").write_text(text.replace(old, new))
        with pytest.raises(UserError, match=r"bad.toml") as error:
            recipe_files.read("bad.toml")
        assert words in str(error.value)
    (here / "good.toml").write_text(text.replace("lite0", "lite2").replace("224", "260"))
    assert recipe_files.read("good.toml").features.dimension() == 1000


def recipe(here, **values) -> recipes.FeatureSettings:
    """Read the tiny recipe with other features."""
    text = TINY
    for old, new in values.items():
        (line,) = (one for one in TINY.splitlines() if one.startswith(f"{old} = "))
        text = text.replace(line, f"{old} = {new!r}")
    (here / "other.toml").write_text(text)
    return recipe_files.read("other.toml").features


def test_every_backbone_can_be_named_from_its_smallest_size_on(here):
    for name, backbone in backbones.table().items():
        for tap in next(iter(backbone.taps)), list(backbone.taps)[-1]:
            assert recipe(here, backbone=name, tap=tap, size=backbone.smallest).backbone == name
    with pytest.raises(UserError, match=r"75 to 2048 \(InceptionV3 has 299 .*, not 74"):
        recipe(here, backbone="inceptionv3", tap="mixed10", size=74)


def test_a_layer_that_some_path_avoids_is_refused_with_those_that_can_be(here):
    for tap in "conv3_block2_2_conv", "conv1_pad", "input_layer":
        with pytest.raises(UserError, match=r"layer that every path") as error:
            recipe(here, backbone="resnet50", tap=tap)
        assert "conv5_block3_out or " in str(error.value)
        assert len(str(error.value)) < 700
    with pytest.raises(UserError, match="conv3_block2_out"):
        recipe(here, backbone="resnet50", tap="conv3_block2")


def test_an_unknown_name_lists_the_known_ones(here):
    known = (
        "best, blend, champion, dinov2, fast, inceptionv3, light, linear, resnet50, seed, sharp, "
        "tuned, vgg19, zero-shot"
    )
    with pytest.raises(UserError, match=known):
        recipe_files.read("fastest")
    with pytest.raises(UserError, match="isn't there"):
        recipe_files.read("mine.toml")


def test_a_file_may_not_take_the_name_of_one_of_ours(here):
    (here / "fast.toml").write_text(TINY)
    with pytest.raises(UserError, match="Rename"):
        recipe_files.read("fast.toml")


def test_training_photos_are_cached_in_the_test_views_too():
    fast = recipe_files.read("fast").features
    only = type(fast)(**{**fast.__dict__, "train_views": ("plain",), "test_views": ("mirror",)})
    assert only.views("train") == ("plain", "mirror")
    assert only.views("test") == ("mirror",)


def test_the_script_refuses_in_one_line(here, refuse):
    (here / "bad.toml").write_text(TINY.replace("epochs = 3", "epochs = 0"))
    for script in "features", "train", "submit", "status":
        assert "head.epochs" in refuse(script, "--recipe", "bad.toml")


BLENDS = {
    "one member": ('["tiny.toml"]', "two recipes or more"),
    "no list": ('"tiny.toml"', "two recipes or more"),
    "numbers": ("[1, 2]", "two recipes or more"),
    "twice the same": ('["tiny.toml", "tiny.toml"]', "tiny is named twice"),
    "a name for two files": ('["tiny.toml", "elsewhere/tiny.toml"]', "tiny is named twice"),
    "its own name": ('["tiny.toml", "elsewhere/mix.toml"]', "mix is named twice"),
    "a blend of blends": ('["tiny.toml", "blend"]', "blend, a member of mix.toml, is a blend"),
    "itself": ('["tiny.toml", "mix.toml"]', "mix, a member of mix.toml, is a blend"),
    "a name that is none": ('["tiny.toml", "fastest"]', "no recipe 'fastest'"),
    "a key too much": ('["fast", "tiny.toml"]\nweights = [1, 2]', "'weights'"),
}


@pytest.mark.parametrize("case", BLENDS)
def test_a_bad_blend_is_refused(here, case):
    members, words = BLENDS[case]
    (here / "elsewhere").mkdir()
    for name in "tiny", "mix":
        (here / "elsewhere" / f"{name}.toml").write_text(TINY)
    (here / "mix.toml").write_text(f'about = "mixed"\nmembers = {members}\n')
    with pytest.raises(UserError, match=r"mix.toml|fastest") as error:
        recipe_files.read("mix.toml")
    assert words in str(error.value)


def test_a_blend_is_a_file_or_several_names(here):
    (here / "mix.toml").write_text('about = "mixed"\nmembers = ["tiny.toml", "fast"]\n')
    mixed = recipe_files.read("mix.toml")
    tiny, fast = recipe_files.read("tiny.toml"), recipe_files.read("fast")
    assert mixed == recipes.Blend("mix", "mixed", (tiny, fast))
    named = recipe_files.read(" fast  tiny.toml ")
    assert (named.name, named.members) == ("fast+tiny", (fast, tiny))
    assert recipes.members(named) == (fast, tiny)
    assert recipes.members(fast) == (fast,)
    with pytest.raises(UserError, match="fast is named twice"):
        recipe_files.read("fast fast")
    with pytest.raises(UserError, match=r"blend, a member of .*, is a blend"):
        recipe_files.read("fast blend")
    (here / "a b.toml").write_text(TINY)
    with pytest.raises(UserError, match="can't have this name"):
        recipe_files.read("a b.toml")
    (here / "a b").mkdir()
    (here / "a b" / "mine.toml").write_text(TINY)
    assert recipe_files.read("a b/mine.toml").name == "mine", "a path may hold blanks"
    assert isinstance(recipe_files.read("blend"), recipes.Blend)
