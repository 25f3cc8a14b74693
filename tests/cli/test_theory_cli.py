"""`invrob theory`: exit codes, one JSON object on stdout, errors without traceback, figures, laziness."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invrob.cli import app, main
from invrob.theory.check import check
from invrob.theory.classifiers import Classifier, linear

ROOT = Path(__file__).resolve().parents[2]
FAST = ["--n", "500", "--classifier", "sign-x0", "--classifier", "paper", "--classifier", "linear:tau=inf"]


def invrob(*arguments):
    command = [sys.executable, str(ROOT / "cli.py"), "theory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_check_prints_one_json_object_and_nothing_else():
    done = invrob("check", "--p", "0.7", "--d", "3", "--seed", "4", "--json", *FAST)
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads(done.stdout, parse_constant=pytest.fail)
    assert {key: content[key] for key in ("p", "d", "c", "n", "seed", "verdict")} == {
        "p": 0.7,
        "d": 3,
        "c": 3.0,
        "n": 500,
        "seed": 4,
        "verdict": "holds",
    }
    assert [row["name"] for row in content["classifiers"]] == ["sign-x0", "paper", "linear:tau=inf"]
    for row in content["classifiers"]:
        for rate in ("a", "b", "R"):
            assert row[rate]["low"] <= row[rate]["estimate"] <= row[rate]["high"]
    assert len(content["inequalities"]) == 12
    assert {row["verdict"] for row in content["inequalities"]} == {"holds"}


def test_check_prints_the_table_and_says_what_is_true():
    done = CliRunner().invoke(app, ["theory", "check", "--p", "0.7", "--d", "3", *FAST])
    assert done.exit_code == 0
    assert "linear:tau=inf" in done.stdout
    assert "distance to" in done.stdout
    assert "Verdict at the joint level 0.99: holds." in done.stdout
    assert "For every classifier R <= p holds by itself" in done.stdout
    assert "The trade-off lives in (a, b)" in done.stdout


def test_the_default_check_holds_and_includes_learned_classifiers():
    words = ["theory", "check", "--p", "0.99", "--d", "1", "--n", "2000", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    names = [row["name"] for row in json.loads(done.stdout)["classifiers"]]
    assert {"sign-x0", "bayes-clean", "bayes-attacked", "paper", "logistic", "mlp", "trees"} <= set(names)


def test_a_violation_exits_with_1_and_is_named(monkeypatch):
    def cheating(distribution, specs, n, seed, confidence, progress):
        labels = []

        def predict(x):  # x, x + A(x) and r(x) in turn; the label is leaked by the first
            if len(labels) % 3 == 0:
                labels.append(linear(distribution, 0.0)(x))
            else:
                labels.append(labels[-1])
            return labels[-1]

        return check(distribution, [Classifier("cheater", predict)], n, seed, confidence, progress)

    monkeypatch.setattr("invrob.theory.check.train_and_check", cheating)
    done = CliRunner().invoke(app, ["theory", "check", "--p", "0.7", "--n", "2000", "--d", "2"])
    assert done.exit_code == 1
    assert "violated" in done.stdout
    as_json = CliRunner().invoke(app, ["theory", "check", "--p", "0.7", "--n", "2000", "--d", "2", "--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["verdict"] == "violated"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--p", "1.0"], "error: --p 1.0 is outside [0.5, 1): below 0.5 flip"),
        (["check", "--p", "nan"], "error: --p nan is outside [0.5, 1)"),
        (["check", "--p", "0.7", "--n", "0"], "error: --n 0 must be an integer of at least 1"),
        (["check", "--p", "0.7", "--classifier", "tree"], "error: classifier 'tree' is unknown; did you mean 'trees'?"),
        (["check", "--p", "0.7", "--plot", "a.bmp"], "error: figure 'a.bmp' has no known format"),
        (["sweep", "--p", "0.5:0.9"], "error: --p '0.5:0.9' is neither one number nor start:stop:step"),
        (["frontier", "--p", "0.7", "--weight", "2"], "error: --weight 2.0 is outside [0, 1]"),
        (["check"], "Missing option '--p'"),
        (["check", "--p", "high"], "Invalid value for '--p'"),
    ],
)
def test_bad_usage_exits_with_2_and_a_sentence_on_stderr(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["invrob", "theory", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert message in " ".join(err.split())


@pytest.mark.long
def test_p_of_one_is_an_error_without_traceback_for_the_process_too():
    done = invrob("check", "--p", "1.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --p 1.0 is outside [0.5, 1): below 0.5 flip the sign of x_0; at 1 the bound divides by 0, try 0.99\n"
    )


def test_frontier_shows_points_by_weight_and_by_tau_with_infinity_as_a_word():
    runner = CliRunner()
    done = runner.invoke(
        app, ["theory", "frontier", "--p", "0.7", "--weight", "0.75", "--weight", "0.25", "--tau", "inf", "--json"]
    )
    assert done.exit_code == 0
    content = json.loads(done.stdout, parse_constant=pytest.fail)
    best, mirrored, corner = content["points"]
    assert best["value"] == pytest.approx(0.7499967861, abs=1e-10)
    assert (mirrored["mirror"], mirrored["accuracy"]) == (True, best["attacked"])
    assert (corner["tau"], corner["accuracy"], content["corner"]) == ("Infinity", 0.7, [0.7, 0.7])
    table = runner.invoke(app, ["theory", "frontier", "--p", "0.7"])
    assert "0.099855" in table.stdout
    assert "R <= p holds by itself" in table.stdout


def test_sweep_writes_its_figure_and_says_where(tmp_path):
    figure = tmp_path / "s.svg"
    options = ["--classifier", "logistic", "--q", "0", "--q", "1", "--d", "2", "--n", "500", "--out", str(figure)]
    done = CliRunner().invoke(app, ["theory", "sweep", "--p", "0.6:0.7:0.1", *options])
    assert done.exit_code == 0
    assert f"Figure: {figure}" in done.stdout.replace("\n", " ")
    assert figure.read_bytes().startswith(b"<?xml")
    as_json = CliRunner().invoke(app, ["theory", "sweep", "--p", "0.6", *options, "--json"])
    content = json.loads(as_json.stdout)
    assert content["figure"] == str(figure)
    assert [row["name"] for row in content["reports"][0]["classifiers"]] == ["logistic:q=0", "logistic:q=1"]


def test_check_writes_the_figure_beside_the_table(tmp_path):
    done = CliRunner().invoke(app, ["theory", "check", "--p", "0.7", "--plot", str(tmp_path / "c.png"), *FAST])
    assert done.exit_code == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["check", "frontier", "sweep"])
def test_help_has_examples(command):
    done = CliRunner().invoke(app, ["theory", command, "--help"])
    assert done.exit_code == 0
    assert f"invrob theory {command} --p" in " ".join(done.stdout.split())


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom invrob.cli import app\n"
        "try:\n    app(['theory', 'check', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numpy', 'scipy', 'sklearn', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_numbers_are_printed_where_the_disk_refuses_the_figure_after_all(tmp_path, monkeypatch, how):
    def full(path, write):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("invrob.pictures.write_atomically", full)
    figure = tmp_path / "new" / "f.svg"
    done = CliRunner().invoke(app, ["theory", "frontier", "--p", "0.7", "--plot", str(figure), *how])
    assert done.exit_code == 1
    assert done.stderr == (
        f"error: {figure} could not be written (No space left on device); what was computed is printed above\n"
    )
    assert json.loads(done.stdout)["figure"] is None if how else "Exact frontier" in done.stdout
    assert not figure.parent.exists()


def test_a_figure_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("invrob.theory.check.train_and_check", lambda *_: pytest.fail("computed"))
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["theory", "check", "--p", "0.7", "--plot", str(tmp_path / "file" / "f.svg")])
    assert "f.svg cannot be written" in str(done.exception)
    assert "file is a file, no folder" in str(done.exception)
