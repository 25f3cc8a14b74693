"""Draws docs/images/audit.png, the picture of docs/profiles.md, from a finished run of the preset mini.

python tools/docs_audit.py runs/mini"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from invrob.empirical.experiments import read_run

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "audit.png"
TRAINED_AT = AT = 0.3


def main(run: Path) -> None:
    """The LeNet that was trained at 0.3: its rate, interval and floor, and what they say at 0.3."""
    _, results, _ = read_run(run)
    (result,) = (result for result in results if result.cell.recipe.epsilon == TRAINED_AT)
    profile = result.robustness
    x, floor, here = profile.epsilons, profile.floor, profile.epsilons.tolist().index(AT)
    assert floor is not None
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(
        x, profile.low, profile.high, color="tab:blue", alpha=0.25, linewidth=0, label="interval of the rate"
    )
    axes.fill_between(
        x, floor, profile.low, color="tab:blue", alpha=0.09, linewidth=0, label="what the attack may have missed"
    )
    axes.plot(x, profile.rate, "o-", color="tab:blue", label="rate")
    axes.plot(x, floor, ":", color="tab:blue", label="floor")
    for name, value in (("rate", profile.rate), ("low", profile.low), ("floor", floor)):
        share = float(value[here])
        axes.annotate(
            f"{name} {share:.1%}", (AT, share), xytext=(AT + 0.04, share), arrowprops={"arrowstyle": "-", "lw": 0.6}
        )
    axes.set(xlabel="epsilon", ylabel="share of predictions that stay", ylim=(-0.03, 1.03), title=str(result.cell))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="lower left")
    figure.savefig(OUT, dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
