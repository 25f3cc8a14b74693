"""The page of the reproduction says what its runs say, notices when it is old, and hides nothing that is missing."""

import csv
import json
import re
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
from blocks import ROOT
from scipy.stats import norm, t
from sketches import sketched

from invrob.empirical.analysis import check_claims, write_csv
from invrob.empirical.execution import Execution
from invrob.empirical.execution import run as execute
from invrob.empirical.experiments import Experiment, Store, dataset_of, read_experiment, read_run, write_experiment
from invrob.empirical.experiments.store import read_json
from invrob.empirical.profiles import WEAK
from invrob.intervals import Estimate, percent
from invrob.pictures import NBSP
from tools import reproduction_numbers, reproduction_runs
from tools.reproduction import FOLDER, kept_runs, main, old, write
from tools.reproduction_numbers import AT, NOT, NUMBERS, OPEN, REPRODUCED, measure_attacks, read_attacks
from tools.reproduction_runs import FIGURES, LARGEST, joined, keep
from tools.reproduction_tables import change

TOML = """
dataset = "npz:{data}"
seeds = [0, 1, 2]

[[models]]
name = "stdcnn"
width = 0.3
training_theta = [0, 60, 180]
epochs = 6
batch_size = 16
learning_rate = 0.01

[[models]]
name = "stdcnn"
width = 0.1
training_theta = [180]
epochs = 1

[[models]]
name = "madry_lenet"
width = 0.05
training_theta = [0]
training_epsilon = [0, 0.1]
attack_steps = 2
epochs = 2
batch_size = 16
learning_rate = 0.01

[profiling]
thetas = [0, 90, 180]
epsilons = [0, 0.1, 0.2, 0.3]
images = 8
steps = 1
angle_step = 90
audit = 0
attack = "pgd"
confounds = ["there-and-back"]
weak_attacks = ["noise"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of three networks, three seeds each; not to be written to."""
    folder = tmp_path_factory.mktemp("reproduction")
    with np.load(ROOT / "invrob" / "empirical" / "data" / "assets" / "mnist-mini.npz", allow_pickle=False) as whole:
        few = {"train": 120, "validation": 20, "test": 40}
        kinds = [(f"{split}_{kind}", n) for split, n in few.items() for kind in ("images", "labels")]
        np.savez(folder / "digits.npz", **{name: whole[name][:n] for name, n in kinds})
    (folder / "mnist.toml").write_text(TOML.format(data=folder / "digits.npz"))
    experiment = read_experiment(folder / "mnist.toml")
    fingerprint = dataset_of(experiment.dataset).fingerprint
    cells = experiment.cells(fingerprint)
    assert execute(cells, folder / "run", Execution(), Mock()) == ()
    dataset_of.cache_clear()
    write_experiment(Store(folder / "run"), experiment, fingerprint)
    write_csv(folder / "run" / "profiles.csv", read_run(folder / "run")[1])
    return folder / "run"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, run):
    """Where the page of the run has been written; not to be written to."""
    return page_of(tmp_path_factory.mktemp("whole"), run)


@pytest.fixture
def folder(tmp_path, whole):
    """The same, to be written to."""
    shutil.copytree(whole.parent, tmp_path / "docs")
    return tmp_path / "docs" / whole.name


def page_of(tmp_path, *runs):
    """The folder in which the page of some runs is written."""
    target = tmp_path / "docs" / "reproduction"
    target.mkdir(parents=True)
    with sketched():
        assert main(["--mnist", *map(str, runs), "--folder", str(target)]) == 0
    return target


def written_again(folder):
    """The page without what is old of it."""
    with sketched():
        write(folder)


def section(folder, heading):
    """The part of the page below a heading that begins so."""
    page = (folder / "README.md").read_text("utf-8")
    return next(part for part in page.split("\n## ") if part.startswith(heading))


def rows_of(text, heading):
    """The rows of the first table that begins with a heading, as dictionaries."""
    lines = text.split(f"| {heading} |")[1].split("\n\n")[0].splitlines()
    names = [heading, *(name.strip() for name in lines[0].strip("| ").split("|"))]
    return [dict(zip(names, (c.strip() for c in row.strip("| ").split(" | ")), strict=True)) for row in lines[2:]]


def of_csv(path, model, options, variant, value):
    """(rates, lows, highs, accuracies, images) of three seeds, by A and epsilon, as profiles.csv has them."""
    found = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            wanted = (row["model"], json.loads(row["options"]), row["variant"], float(row["value"]))
            if wanted == (model, options, variant, value):
                key = float(row["training_theta"]), float(row["training_epsilon"])
                numbers = [float(row[name]) for name in ("rate", "low", "high")]
                found.setdefault(key, []).append([*numbers, int(row["images"])])
    return {key: np.array(rows).T for key, rows in found.items()}


def shown(rates, low, high, images):
    """The mean over three seeds with its interval, worked out by hand as docs/profiles.md says."""
    mean, n = rates.mean(), images[0]
    seeds = rates.var(ddof=1) / 3 * t.ppf(0.975, 2) ** 2
    of_images = t.ppf(0.975, n - 1) / norm.ppf(0.975)
    below, above = (np.sqrt((d**2).mean() * of_images**2 + seeds) for d in (rates - low, high - rates))
    return f"{percent(mean)}<br>[{percent(max(mean - below, 0))},{NBSP}{percent(min(mean + above, 1))}]"


@pytest.mark.long
def test_the_rates_of_a_figure_are_those_that_profiles_csv_gives(whole, run):
    rows = {row["A"]: row for row in rows_of(section(whole, "Figure 1"), "A")}
    assert {*rows} == {"0", "60", "180"}
    columns = {"inv. 180": ("zero fill", 180.0), "inv. 90": ("zero fill", 90.0), "rob. 0.1": ("search", 0.1)}
    for column, (variant, value) in columns.items():
        expected = of_csv(run / "profiles.csv", "stdcnn", {"width": 0.3}, variant, value)
        assert {a: row[column] for a, row in rows.items()} == {
            f"{a:g}": shown(*some) for (a, _), some in expected.items()
        }
    rows = rows_of(section(whole, "Figure 5"), "trained at")
    expected = of_csv(run / "profiles.csv", "madry_lenet", {"width": 0.05}, "search", 0.2)
    assert [row["rob. 0.2"] for row in rows] == [shown(*some) for some in expected.values()]
    assert {row["seeds"] for row in rows} == {"3"}
    told = [row[column] for row in rows for column in ("inv. 90", "inv. 180", "rob. 0.1", "rob. 0.2")]
    assert len({*told}) > 4  # constant classifiers would have the same rates everywhere


@pytest.mark.long
def test_the_csv_of_a_figure_has_the_rows_and_columns_of_profiles_csv(whole, run):
    lines = (run / "profiles.csv").read_text("utf-8").splitlines()
    for number, model in ((1, "stdcnn"), (5, "madry_lenet")):
        written = (whole / f"figure-{number}.csv").read_text("utf-8").splitlines()
        assert written[0] == lines[0]
        assert sorted(written[1:]) == sorted(line for line in lines[1:] if line.split(",")[1] == model)


@pytest.mark.long
def test_the_claims_on_the_page_are_those_of_the_run(whole, run):
    claims = [claim for claim in check_claims(read_run(run)[1]) if claim.effect is not None]
    assert {claim.name for claim in claims} >= {"i", "ii", "iii", "iv"}
    for part in ("In short", "Figure"):
        page = "".join(p for p in (whole / "README.md").read_text("utf-8").split("\n## ") if p.startswith(part))
        for claim in claims:
            assert f"**{claim.verdict}**" in page
            assert change(claim) in page


@pytest.mark.long
def test_the_page_is_the_same_without_the_weights(whole, run, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduction_runs, "SMALL", 1000)
    other = page_of(tmp_path / "slim", run)
    assert [*whole.rglob("*.safetensors")]
    assert not [*other.rglob("*.safetensors")]
    assert (other / "README.md").read_text("utf-8") == (whole / "README.md").read_text("utf-8")


@pytest.mark.long
def test_weights_are_not_kept_where_they_are_not_wanted(run, tmp_path):
    keep([run], tmp_path / "mnist", weights=False)
    assert not [*tmp_path.rglob("*.safetensors")]
    assert len([*tmp_path.glob("mnist/cells/*/profiles-*.json")]) > 0


@pytest.mark.long
def test_what_is_old_is_noticed(folder, capsys):
    assert old(folder) == []
    page, numbers = folder / "README.md", folder.parent / "numbers" / "reproduction.json"
    texts = {path: path.read_text("utf-8") for path in (page, folder / "figure-5.csv", folder / "mnist.toml", numbers)}
    for path, text in texts.items():
        path.write_text(text.replace("0", "1", 1))
        assert old(folder) == [f"{path.name} is old"]
        path.write_text(text)
    (folder / "figure-1.png").rename(folder / "figure-7.png")
    assert old(folder) == ["figure-1.png is missing", "figure-7.png follows from no run"]
    assert main(["--check", "--folder", str(folder)]) == 1
    assert "python -m tools.reproduction" in capsys.readouterr().out
    written_again(folder)
    assert main(["--check", "--folder", str(folder)]) == 0


@pytest.mark.long
def test_a_page_that_is_older_than_its_runs_is_noticed(folder):
    cell = kept_runs(folder)["mnist"].results[0].cell
    shutil.rmtree(folder / "runs" / "mnist" / "cells" / cell.key)
    assert {"README.md is old", "figure-1.csv is old"} <= {*old(folder)}


@pytest.mark.long
def test_a_page_of_a_run_that_is_not_finished_says_what_is_missing(run, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(run, part)
    cells = {(r.cell.network, r.cell.recipe.rotation, r.cell.seed): r.cell for r in read_run(part)[1]}
    shutil.rmtree(part / "cells" / cells["stdcnn (width 0.3)", 60.0, 1].key)
    shutil.rmtree(part / "cells" / cells["stdcnn (width 0.1)", 180.0, 0].key)
    cell = cells["stdcnn (width 0.3)", 0.0, 2]
    (part / "cells" / cell.key / f"profiles-{cell.addresses['weak:noise']}.json").unlink()
    folder = page_of(tmp_path, part)
    missing = re.search(r"\*Missing:\* (.*)\.\n", section(folder, "Figure 1"))[1]
    assert missing == (
        "A = 30, 90, 120, 150 altogether; 1 of 3 seeds of A = 60; `weak:noise` is not measured of 1 of 8 networks; "
        "1 of 3 networks of StdCNN (width 0.1)"
    )
    whole = section(folder, "What was run")
    assert f"- Figure 1: {missing}." in whole
    assert "- Figure 5: epsilon = 0.2, 0.3, 0.4 altogether." in whole
    for figure in FIGURES:
        if figure.number not in (1, 5):
            assert f"- {figure.name}: all of it." in whole
            assert "not run yet" in section(folder, figure.name)
    assert "**CIFAR-10**: nothing of it is finished." in whole
    assert {row["seeds"] for row in rows_of(section(folder, "Figure 1"), "A")} == {"3", "2"}


@pytest.mark.long
def test_runs_in_several_folders_are_kept_as_one(folder, run, tmp_path):
    keys = sorted(path.name for path in (run / "cells").iterdir())
    for name, without in (("first", keys[:4]), ("second", keys[2:])):
        shutil.copytree(run, tmp_path / name)
        for key in without:
            shutil.rmtree(tmp_path / name / "cells" / key)
    lacking = page_of(tmp_path / "both", tmp_path / "first", tmp_path / "second")
    assert sorted(path.name for path in (lacking / "runs" / "mnist" / "cells").iterdir()) == keys[:2] + keys[4:]
    with pytest.raises(SystemExit, match="no run is in"):
        keep([tmp_path / "nothing"], tmp_path / "target")
    with pytest.raises(SystemExit, match="where runs are kept"):
        keep([folder / "runs" / "mnist"], folder / "runs" / "mnist")


@pytest.mark.long
def test_a_run_of_other_data_or_networks_does_not_take_the_place_of_one_that_is_kept(folder, run, tmp_path):
    kept, other = tmp_path / "kept", tmp_path / "other"
    shutil.copytree(folder / "runs" / "mnist", kept)
    names = sorted(path.name for path in kept.rglob("*"))
    experiment, fingerprint = read_run(run)[0], read_json(run / "experiment.json")["fingerprint"]
    others = experiment.model_copy(update={"models": Experiment(dataset="mnist", models=["vgg16"]).models})
    for asked, data, said in (
        (experiment, "0" * 64, "is on other data"),
        (others, fingerprint, "and this one is of vgg16"),
    ):
        write_experiment(Store(other), asked, data)
        with pytest.raises(SystemExit, match=said):
            keep([other], kept)
        assert sorted(path.name for path in kept.rglob("*")) == names


def test_experiments_of_several_folders_are_joined():
    def experiment(seeds, profiling=None, **spans):
        models = [{"name": "stdcnn", **spans}]
        asked = {"dataset": "mnist", "seeds": seeds, "models": models, "profiling": profiling or {}}
        return Experiment.model_validate(asked)

    first = experiment([0], training_theta=[0, 60])
    both = joined(first, experiment([0, 2], training_theta=[180, 60]))
    assert both == experiment([0, 2], training_theta=[0, 60, 180])
    apart = joined(first, experiment([0], training_theta=[0], training_epsilon=[0.1]))
    assert len(apart.models) == 2  # a grid of both would have cells that nobody asked for
    assert len(joined(first, experiment([0], training_theta=[0, 60], width=0.5)).models) == 2
    more = joined(first, experiment([0], {"confounds": ["canvas"]}, training_theta=[0, 60]))
    assert more.profiling.confounds == ("canvas",)
    with pytest.raises(SystemExit, match="measured in different ways"):
        joined(first, experiment([0], {"images": 10}, training_theta=[0, 60]))


A, B = NUMBERS


@pytest.mark.parametrize(
    ("number", "rates", "floors", "verdict"),
    [
        (A, [(0.1, 0.0, 0.4)], [0.0], REPRODUCED),
        (A, [(0.4, 0.3, 0.6)], [0.3], OPEN),
        (A, [(0.7, 0.6, 0.8)], [0.55], NOT),
        (A, [(0.7, 0.6, 0.8)], [0.45], OPEN),  # what the attack missed might be more than half
        (A, [None], [None], OPEN),
        (B, [(0.9, 0.85, 0.95)] * 3, [0.82] * 3, REPRODUCED),
        (B, [(0.9, 0.85, 0.95)] * 3, [0.82, 0.82, 0.7], OPEN),
        (B, [(0.9, 0.85, 0.95), None, (0.9, 0.85, 0.95)], [0.82] * 3, OPEN),
        (B, [(0.9, 0.85, 0.95), (0.9, 0.85, 0.95), (0.7, 0.6, 0.79)], [None] * 3, NOT),
    ],
)
def test_the_numbers_of_the_paper_are_judged_by_the_intervals(number, rates, floors, verdict):
    assert number.verdict([None if rate is None else Estimate(*rate) for rate in rates], floors) == verdict


@pytest.mark.long
def test_other_attacks_stand_on_the_page_as_long_as_they_are_about_the_weights_of_its_run(folder, monkeypatch):
    monkeypatch.setattr(reproduction_numbers, "WEAK", {name: WEAK[name] for name in ("one-step", "noise")})
    lacking = "Not measured on these weights"
    assert lacking in section(folder, "The two numbers")
    measure_attacks(kept_runs(folder)["mnist"], folder, None, images=4)
    written_again(folder)
    numbers = section(folder, "The two numbers")
    assert lacking not in numbers
    attacks = {row["attack"].partition(":")[0]: row for row in rows_of(numbers, "attack")}
    kept = json.loads((folder / "attacks.json").read_text("utf-8"))
    sixty = [r.cell.key for r in kept_runs(folder)["mnist"].results if r.cell.recipe.rotation == 60]
    mean = np.mean([kept["cells"][key]["attacks"]["one-step"]["rate"][AT.index(0.2)] for key in sixty])
    assert attacks["`one-step`"]["A = 60 at 0.2"].startswith(f"{percent(mean)}<br>")
    assert attacks["`noise`"]["images"] == "8"  # of the run itself, which has more images
    run = kept_runs(folder)["mnist"]
    assert read_attacks(run, folder) == kept
    kept["cells"][sixty[0]]["weights_sha256"] = "of other weights"
    (folder / "attacks.json").write_text(json.dumps(kept))
    assert read_attacks(run, folder) is None
    assert "README.md is old" in old(folder)


def test_what_is_committed_of_the_runs_is_small_and_the_page_is_what_it_says():
    files = [path for path in (FOLDER / "runs").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    assert old(FOLDER) == [], "run `python -m tools.reproduction`"
