"""Experiments: every typo is caught with its remedy, every setting has its limits, and a key says what was computed.

tests/experiment has the presets' grids, the forms a model may be written in, and the most common mistakes."""

import json
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import cell

from invrob.empirical.analysis import STATEMENTS
from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.experiment import GRID_KEYS, Experiment, ModelGrid, Profiling, read_experiment
from invrob.empirical.experiments.presets import PRESETS
from invrob.empirical.experiments.profiling import EPSILONS, THETAS
from invrob.empirical.models import MODELS, build
from invrob.empirical.profiles.weak import WEAK
from invrob.empirical.training.recipes import RECIPES, Recipe, Stage
from invrob.errors import InputError


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "my.toml"

    def call(text):
        path.write_text(text, encoding="utf-8")
        return read_experiment(path)

    return call


PLAIN = 'dataset = "d"\n'
ONE = '[[models]]\nname = "gcnn"\n'


def written(table, line):
    return {
        "": PLAIN + line + "\n" + ONE,
        "models": PLAIN + ONE + line,
        "profiling": PLAIN + ONE + "[profiling]\n" + line,
    }[table]


KEYS = [
    *(("", key) for key in ("seeds", "profiling")),
    *(("models", key) for key in GRID_KEYS if key != "name"),
    *(("profiling", key) for key in Profiling.model_fields),
]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(KEYS), st.data())
def test_a_slip_of_the_finger_in_any_key_is_told_the_right_one(read, where, data):
    table, key = where
    known = {"": Experiment.model_fields, "models": GRID_KEYS, "profiling": Profiling.model_fields}[table]
    place = data.draw(st.integers(1, len(key) - 1))
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    slips = [
        key[:place] + key[place + 1 :],
        key[:place] + letter + key[place:],
        key[:place] + letter + key[place + 1 :],
    ]
    slip = data.draw(st.sampled_from(slips))
    assume(slip not in known and slip != "training")
    with pytest.raises(InputError) as caught:
        read(written(table, f"{slip} = 1"))
    prefix = {"": "", "models": "models.0.", "profiling": "profiling."}[table]
    assert f"{prefix}{slip} is unknown; did you mean '{key}'? (known here: " in str(caught.value)


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ("", "seeds = []", "seeds = []: List should have at least 1 item"),
        ("", "seeds = 3", "seeds = 3: Input should be a valid list"),
        ("", "seeds = [2147483648]", "seeds.0 = 2147483648: Input should be less than 2147483648"),
        ("", 'seeds = ["x"]', "seeds.0 = 'x': Input should be a valid integer"),
        ("", "profiling = 3", "profiling = 3: Input should be a table"),
        ("models", "training_theta = []", "models.0.training_theta = []: List should have at least 1 item"),
        ("models", "training_theta = [-1]", "models.0.training_theta.0 = -1: Input should be greater than or equal"),
        ("models", "training_theta = [0, nan]", "models.0.training_theta.1 = nan"),
        ("models", "training_epsilon = [1.1]", "models.0.training_epsilon.0 = 1.1: Input should be less than or"),
        ("models", "attack_steps = 0", "models.0.attack_steps = 0: Input should be greater than or equal to 1"),
        ("models", 'recipe = "paper "', "recipe = 'paper '; did you mean 'paper'?: one of fast, fast-cifar"),
        ("models", 'schedule = "slow"', "models.0.schedule = 'slow': Input should be 'one-cycle', 'cosine', 'step' or"),
        ("models", "curriculum = [{until = 0.5}]", "curriculum ends its stages at [0.5]: they must increase, and the"),
        ("models", 'curriculum = "cups"', "models.0.curriculum = 'cups': is unknown; did you mean 'cusp'?: one of"),
        ("models", 'normalization = "x"', "models.0.normalization = 'x': Input should be 'none', 'image', 'mnist' or"),
        ("models", "epochs = 1.5", "epochs = 1.5: Input should be a valid integer"),
        ("models", "batch_size = 0", "batch_size = 0: Input should be greater than or equal to 1"),
        ("models", "learning_rate = 1.5", "learning_rate = 1.5: Input should be less than or equal to 1"),
        ("models", "learning_rate = nan", "learning_rate = nan"),
        ("models", "width = 0", "models.0.width = 0: Input should be greater than 0"),
        ("models", "width = inf", "models.0.width = inf: Input should be less than or equal to 16"),
        ("models", "dropout = 1", "models.0.dropout = 1: Input should be less than 1"),
        ("models", 'head = "round"', "models.0.head = 'round': Input should be 'flatten' or 'invariant'"),
        ("models", "images = 0", "models.0.images = 0: Input should be greater than or equal to 1"),
        ("profiling", "steps = 0", "profiling.steps = 0: Input should be greater than or equal to 1"),
        ("profiling", "restarts = 0", "profiling.restarts = 0: Input should be greater than or equal to 1"),
        ("profiling", "angle_step = 0", "profiling.angle_step = 0: Input should be greater than 0"),
        ("profiling", "angle_step = nan", "profiling.angle_step = nan"),
        ("profiling", "images = 1", "profiling.images = 1: Input should be greater than or equal to 2"),
        ("profiling", "thetas = [0, 181]", "profiling.thetas.1 = 181: Input should be less than or equal to 180"),
        ("profiling", "epsilons = [0.1, 0.1]", "profiling.epsilons = [0.1, 0.1]: must be at least one number, each"),
        ("profiling", "epsilons = []", "profiling.epsilons = []: must be at least one number"),
    ],
)  # fmt: skip
def test_a_value_outside_its_range_is_named_with_its_place_and_the_range(read, table, line, said):
    with pytest.raises(InputError) as caught:
        read(written(table, line))
    assert said in str(caught.value)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "dataset is missing: mnist-mini, mnist, cifar10 or npz:PATH, as in `invrob data`; models is missing:"),
        (PLAIN + "[[models]]\nepochs = 3", "models.0.name is missing: one of stdcnn, gcnn, vgg16"),
        (PLAIN + "models = [3]", "models.0 = 3: Input should be a table"),
        (PLAIN + "models = 3", "models = 3: Input should be a valid list"),
        (PLAIN + "[models]\nstdcnn = {}\ngcnn = 3", "models.1 = 3: Input should be a table"),
        (PLAIN + "[models.vgg]", "models.0.name = 'vgg': is unknown; did you mean 'vgg16'?: one of stdcnn"),
        ('dataset = 3\nmodels = ["gcnn"]', "dataset = 3: Input should be a valid string"),
        ('dataset = "d"\ndataset = "d"', "is not valid TOML: Cannot overwrite a value"),
    ],
)  # fmt: skip
def test_a_table_of_another_shape_is_told_what_is_wanted(read, text, said):
    with pytest.raises(InputError) as caught:
        read(text)
    assert said in str(caught.value)


def test_what_is_no_text_or_no_file_is_said_to_be_so(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.toml is not valid TOML"):
        read_experiment(tmp_path / "bytes.toml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_experiment(tmp_path)


def test_a_byte_order_mark_is_no_obstacle(read):
    assert read("\ufeff" + PLAIN + ONE).dataset == "d"


@pytest.mark.parametrize(
    "models", ['[models]\nname = "gcnn"\nepochs = 3', "[models.gcnn]\nepochs = 3", ONE + "epochs = 3"]
)
def test_a_single_model_may_be_a_table_or_a_list_of_one(read, models):
    assert read(PLAIN + models) == read(PLAIN + 'models = [{name = "gcnn", epochs = 3}]')


def test_tables_and_names_may_be_mixed_and_keep_their_order(read):
    experiment = read(PLAIN + 'models = ["gcnn", {name = "stdcnn", epochs = 2}, "madry_lenet"]')
    assert [(m.name, m.training.epochs) for m in experiment.models] == [("gcnn", 8), ("stdcnn", 2), ("madry_lenet", 8)]


def test_what_is_left_out_is_what_the_documentation_says(read):
    experiment = read(PLAIN + ONE)
    assert experiment.seeds == (0,)
    assert (experiment.profiling.thetas, experiment.profiling.epsilons) == (THETAS, EPSILONS)
    assert experiment.models[0].recipe(0, 0) == Recipe()
    assert experiment.models[0].options() == {}


DEFAULTS = [
    ("", "seeds", (0,)),
    ("models", "recipe", "fast"),
    *(("models", name, field.default) for name, field in ModelGrid.model_fields.items() if name in GRID_KEYS[1:]),
    *(("models", name, value) for name, value in RECIPES["fast"].model_dump().items() if name in GRID_KEYS),
    *(("profiling", name, field.default) for name, field in Profiling.model_fields.items()),
]


@pytest.mark.parametrize(("table", "key", "default"), [row for row in DEFAULTS if row[2] is not None])
def test_a_default_may_be_written_out(read, table, key, default):
    assert read(written(table, f"{key} = {json.dumps(default)}")) == read(PLAIN + ONE)


@pytest.mark.parametrize("option", ["width = 1", "width = 1.0", "dropout = 0.5", 'head = "flatten"'])
def test_an_option_that_says_the_default_is_the_same_training_as_none(read, option):
    assert read(PLAIN + ONE + option).cells("f") == read(PLAIN + ONE).cells("f")


def test_one_training_with_two_counts_of_test_images_is_refused(read):
    experiment = read(PLAIN + ONE + "images = 5\n" + ONE + "training_theta = [60]\nimages = 7")
    with pytest.raises(InputError, match="models lists gcnn A = 60, seed 0 twice, for profiles on 5 and on 7 images"):
        experiment.cells("f")


def test_the_cells_are_every_combination_in_the_order_of_the_grid(read):
    text = (
        PLAIN + "seeds = [3, 1]\n[models.gcnn]\ntraining_theta = [90, 0]\ntraining_epsilon = [0, 0.1]\n[models.stdcnn]"
    )
    found = [(c.model, c.recipe.rotation, c.recipe.epsilon, c.seed) for c in read(text).cells("f")]
    ours = [("gcnn", theta, epsilon, seed) for theta in (90, 0) for epsilon in (0, 0.1) for seed in (3, 1)]
    assert found == ours + [("stdcnn", theta, 0, seed) for theta in (0, 60, 180) for seed in (3, 1)]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_puts_every_claim_to_the_test_and_can_be_built(name):
    cells = PRESETS[name].cells("f")
    for statement in STATEMENTS:
        values = {}
        for one in cells:
            values.setdefault((one.model, one.seed), set()).add(getattr(one.recipe, statement.parameter))
        assert max(map(len, values.values())) > 1
    for one in {(c.model, str(c.options)): c for c in cells}.values():
        build(one.model, seed=one.seed, **one.options)


grids = st.builds(
    ModelGrid,
    name=st.sampled_from(["stdcnn", "gcnn", "madry_lenet"]),
    training_theta=st.lists(st.floats(0, 180), min_size=1, max_size=3),
    training_epsilon=st.lists(st.floats(0, 1), min_size=1, max_size=3),
    training=st.builds(Recipe, epochs=st.integers(1, 50), learning_rate=st.floats(1e-6, 1)),
    width=st.floats(0.01, 16),
    dropout=st.none() | st.floats(0, 0.99),
)
experiments = st.builds(
    Experiment,
    dataset=st.text(min_size=1),
    models=st.lists(grids, min_size=1, max_size=3),
    seeds=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3),
)


@settings(deadline=None, max_examples=40)
@given(experiments)
def test_an_experiment_read_back_from_json_has_the_same_cells(experiment):
    again = Experiment.model_validate_json(experiment.model_dump_json())
    assert again == experiment
    cells = again.cells("f")
    assert cells == experiment.cells("f")
    assert len({c.key for c in cells}) == len(cells)
    for one in cells:
        assert Cell.model_validate_json(one.model_dump_json()).key == one.key


OTHER = {
    "fingerprint": st.text(min_size=1).filter(lambda v: v != "f"),
    "model": st.just("gcnn"),
    "options": st.dictionaries(st.sampled_from(["width", "dropout"]), st.floats(0.01, 0.99), min_size=1),
    "seed": st.integers(1, 2**31 - 1),
    "source": st.text("0123456789abcdef", min_size=64, max_size=64),
    "rotation": st.floats(0, 180, exclude_min=True),
    "epsilon": st.floats(0, 1, exclude_min=True),
    "attack_steps": st.integers(2, 1000),
    "attack_step_size": st.floats(0, 1, exclude_min=True),
    "batch_norm_in_attack": st.just("train"),
    "trades_beta": st.floats(0.1, 10),
    "curriculum": st.just((Stage(until=0.5), Stage(until=1))),
    "crop": st.integers(1, 64),
    "flip": st.just(True),
    "schedule": st.sampled_from(["cosine", "step", "constant"]),
    "milestones": st.just((0.2,)),
    "optimizer": st.just("sgd"),
    "momentum": st.floats(0, 0.8),
    "weight_decay": st.floats(0.001, 0.9),
    "decayed": st.just("weights"),
    "precision": st.just("bfloat16"),
    "epochs": st.integers(9, 10_000),
    "batch_size": st.integers(65, 1_000_000),
    "learning_rate": st.floats(0.003, 1),
}


def test_every_field_of_a_training_is_among_those_that_change_its_key():
    assert set(OTHER) == {*Recipe.model_fields, *Cell.model_fields} - {"recipe", "dataset", "profiling"}


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(sorted(OTHER)), st.data())
def test_a_training_that_differs_in_anything_has_another_key(name, data):
    assert cell(**{name: data.draw(OTHER[name])}).key != cell().key


MEASURED = {
    "thetas": (0.0,),
    "epsilons": (0.5,),
    "steps": 21,
    "attack": "pgd",
    "audit": 7,
    "restarts": 2,
    "angle_step": 7.0,
    "images": 999,
}
BESIDE = {
    "confounds": ("disc", "canvas"),
    "weak_attacks": ("paper", "half"),
    "norms": ("l2",),
    "transformations": ("translation", "horizontal-flip"),
    "worst_case": ("rotation:grid", "translation:worst-of-3"),
    "values": {"translation": (0.0, 2.0)},
}


def test_every_setting_of_the_profiles_is_either_part_of_their_key_or_measured_beside_them():
    assert {*MEASURED, *BESIDE} == set(Profiling.model_fields)


@pytest.mark.parametrize("name", MEASURED)
def test_a_profile_measured_otherwise_has_another_key_in_the_same_training(name):
    other = cell(profiling=cell().profiling.model_copy(update={name: MEASURED[name]}))
    assert other.key == cell().key
    assert other.profile_key != cell().profile_key


def test_what_is_measured_beside_the_profiles_has_a_key_of_its_own_and_leaves_theirs_alone():
    other = cell(profiling=cell().profiling.model_copy(update=BESIDE))
    assert list(other.addresses) == [
        *("profiles", "disc", "canvas", "weak:paper", "weak:half", "l2", "translation", "horizontal-flip"),
        *("rotation:grid", "translation:worst-of-3"),
    ]
    assert len(set(other.addresses.values())) == 10
    assert other.addresses["profiles"] == other.profile_key == cell().profile_key
    assert cell().addresses == {"profiles": cell().profile_key}


def test_the_keys_of_finished_measurements_are_those_they_had_before_others_came():
    """The training's as 0.2.0 gives it, and those of profiles as 0.5.0, whose numbers are others."""
    one = Cell(
        dataset="d",
        fingerprint="f",
        model="stdcnn",
        options={},
        recipe=RECIPES["fast"],
        seed=0,
        profiling=Profiling(confounds=("disc",), weak_attacks=("paper",)),
    )
    assert one.key == "409f71889db2dce1"
    assert one.addresses == {
        "profiles": "4efc9faf8e7f9897",
        "disc": "c822dba8e3cd7449",
        "weak:paper": "5657afcd94352bb6",
    }


def test_values_of_its_own_are_part_of_the_key_of_a_measurement_and_of_no_other():
    plain, other = (
        cell(profiling=cell().profiling.model_copy(update={**BESIDE, "values": values}))
        for values in ({"translation": (0.0, 2.0)}, {"translation": (0.0, 3.0), "l2": (0.0, 1.0)})
    )
    changed = {name for name, key in plain.addresses.items() if other.addresses[name] != key}
    assert changed == {"translation", "translation:worst-of-3", "l2"}
    beside = other.profiling.beside
    assert beside["translation:worst-of-3"].values == (0, 3)
    assert beside["horizontal-flip"].values == (0, 1)
    assert beside["rotation:grid"].values == other.profiling.thetas


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            'transformations = ["rotation"]',
            "['rotation']: rotation is measured in any case, at the thetas: leave it out",
        ),
        (
            'transformations = ["translate"]',
            "['translate']: transformation 'translate' is unknown; did you mean 'translation'?: use rotation, "
            "translation, scaling, shear, rotation+translation, horizontal-flip, vertical-flip",
        ),
        (
            'worst_case = ["rotation"]',
            "['rotation']: 'rotation' names no adversary: write rotation:grid or rotation:worst-of-10",
        ),
        (
            'worst_case = ["shear:average"]',
            "['shear:average']: 'shear:average' names no adversary: write shear:grid or shear:worst-of-10",
        ),
        (
            'worst_case = ["translation:grid"]\nvalues = {translation = [1000]}',
            "['translation:grid']: the grid has 4,004,001 points, more than 1,000,000: use smaller thetas, a "
            "coarser grid, or worst-of-100 in its place",
        ),
        (
            "values = {scaling = [0.5]}",
            "{'scaling': [0.5]}: thetas holds 0.5, outside [1, 100]: factors between 1 / value and value, so 1 changes "
            "nothing",
        ),
        ("values = {rotation = [5]}", "{'rotation': [5]}: rotation is measured at the thetas: write them there"),
        (
            "values = {l2 = [1, 1]}",
            "{'l2': [1, 1]}: l2 = [1.0, 1.0] must be at least one number, each larger than the one before: sort them",
        ),
    ],
)
def test_measurements_that_cannot_be_are_refused_in_words(read, line, text):
    with pytest.raises(InputError) as caught:
        read(written("profiling", line))
    where = line.splitlines()[0].partition(" =")[0]
    assert str(caught.value).partition(": ")[2] == f"profiling.{where} = {text}"


def test_the_weak_attacks_of_a_table_are_those_that_there_are(read):
    names = ", ".join(f'"{name}"' for name in WEAK)
    assert read(written("profiling", f"weak_attacks = [{names}]")).profiling.weak_attacks == tuple(WEAK)


def test_a_recipe_named_in_a_table_is_where_its_other_keys_start_from(read):
    grid = read(written("models", 'recipe = "cusp"\nepochs = 3')).models[0]
    assert grid.training == RECIPES["cusp"].model_copy(update={"rotation": 0.0, "epsilon": 0.0, "epochs": 3})
    assert grid.recipe(180, 8 / 255) == RECIPES["cusp"].model_copy(update={"epochs": 3})


@pytest.mark.parametrize("name", MODELS)
def test_every_network_can_be_named_and_an_option_of_others_is_refused_by_name(read, name):
    assert read(PLAIN + f'models = ["{name}"]').models[0].name == name
    if "gcnn" not in name:
        with pytest.raises(InputError, match=f"is an option of gcnn, gcnn_vgg16, not of {name}"):
            read(PLAIN + f'[models.{name}]\nhead = "flatten"')


@given(st.text())
def test_the_name_of_the_data_is_no_part_of_any_key(name):
    assert (cell(dataset=name).key, cell(dataset=name).profile_key) == (cell().key, cell().profile_key)
