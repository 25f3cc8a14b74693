"""The sentences of docs/reproduction: what the paper says, and what the rates say where a sentence's premise holds."""

from collections.abc import Iterator, Sequence

from invrob.empirical.experiments import Result
from invrob.empirical.profiles import format_epsilon
from invrob.intervals import Estimate
from tools.reproduction_runs import PaperFigure
from tools.reproduction_tables import accuracy, beside_at, invariance_at, mean, robustness_at, trainings, written

TITLE = """\
<!-- Written by `python -m tools.reproduction` from docs/reproduction/runs: edit the tool, not the page. -->

# The paper's figures beside ours

Kamath, Deshpande and Subrahmanyam, *Invariance vs. Robustness of Neural Networks* (2020). A program writes this page
from the runs in the folder `runs` beside it: every number and every verdict is theirs. Rates are in %, with intervals
of 95 % over the test images and, where there are several, the seeds. *inv. 90*: predictions that stay when images are
turned by an angle in [-90, 90]. *rob. 0.1*: predictions that no attack of that size changes; *floor*: no attack as
strong as the audit brings them below it. A classifier that gives every image one class has 100 % of both, so that the
accuracy stands beside them."""
JPEG = (
    "**CIFAR-10 here is a lossy JPEG copy.** Its accuracies and rates must not be compared with published ones, only "
    "with one another."
)
NUMBERS_BELOW = "(#the-two-numbers-that-the-paper-gives)"
PAPER = {  # what the paper says of each of its figures
    1: "The more a StdCNN is trained with rotations, the larger its rate of invariance, the smaller its robustness. "
    f"The text names the networks trained to 60 and to 180 degrees, with [two numbers]{NUMBERS_BELOW}.",
    2: "The same for VGG16 on CIFAR-10: larger A, larger rate of invariance, smaller robustness. The text gives no "
    "number.",
    3: "The same for a GCNN with p4 convolutions. It ends in a flattened layer, so that it isn't invariant by "
    "construction, and gains from training with rotations.",
    4: "The same for VGG16 with every operation replaced by its p4 equivalent. The paper gives neither its channels "
    "nor how it ends.",
    5: "The larger the epsilon that Madry's LeNet is trained against, the larger its robustness, and the smaller, "
    "progressively, its rate of invariance. The text names the networks trained at 0.1 and at 0.4, and a third one, in "
    "red, which dominates. An earlier version of the paper (2019) said that adversarial training keeps rotation "
    "invariance *essentially unchanged*.",
    6: "The same for Madry's ResNet on CIFAR-10: larger epsilon in training, larger robustness, smaller rate of "
    "invariance. The paper's epsilons run over [0, 1]; those here are the usual ones for CIFAR-10.",
}
CLAIMS = (
    "A claim *holds* or *fails* where its effect is significant at 5 % after Holm's adjustment, over the paper's "
    "claims or over the other statements of its run, and is *undecided* otherwise ([how the claims are "
    "tested](../profiles.md#claims)). For (i) to (iv) the "
    "change is that of the mean rate from the smallest to the largest value of the training parameter, in points."
)
CONFOUNDS = (
    "Rates of invariance for angles in [-180, 180], with [each confound](../profiles.md#confounds-of-rotation) taken "
    "away, and robustness under attacks that flatter, which prove nothing."
)
RULE = (
    "*Reproduced*: the whole interval of 95 % lies on the paper's side, with the floor where what an attack missed "
    "would speak against it. *Not reproduced*: the whole interval lies on the other side. *Undecided*: neither."
)
OTHERS = (
    "The paper gives neither loss, step size nor number of steps, and its epsilon is on normalised data. So the table "
    "has what attacks that flatter a network, and other units, leave of the same weights, and the verdict that "
    "somebody would come to who trusted each of them alone."
)
AGAIN = """## Again

```text
{commands}
```

The TOML files are written from the runs as well. The intervals are what to compare: weights trained by other versions
of torch, or on other processors, differ. Of the runs the profiles and the costs are kept, and the weights of small
networks."""


def again(kept: Sequence[str]) -> str:
    """How the runs that are kept are made anew."""
    lines = []
    if "mnist" in kept:
        lines.append(("invrob data fetch mnist", ""))
    for name in kept:
        needs = 'needs the file of its first line; or dataset = "cifar10"' if name == "cifar" else ""
        lines.append((f"invrob empirical run --config docs/reproduction/{name}.toml", needs))
    folders = " ".join(f"--{name} runs/{name}" for name in kept)
    lines.append((f"python -m tools.reproduction {folders}", "keeps the runs, and writes this page"))
    if "mnist" in kept:
        lines.append(("python -m tools.reproduction --attacks", "the other attacks on the weights that are kept"))
    return AGAIN.format(commands="\n".join(f"{line:<70}# {note}" if note else line for line, note in lines))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def about_attacked(figure: PaperFigure, own: Sequence[Result]) -> Iterator[str]:
    """What the rates of a figure with adversarial training say."""
    by_value = trainings(figure, own)
    kept = [
        f"{in_line(rate)} at {format_epsilon(value)}"
        for value, seeds in by_value.items()
        if value and (rate := mean(seeds, robustness_at(value))) is not None
    ]
    if kept:
        yield f"At the epsilon that it was trained against, each network keeps: {'; '.join(kept)}."
    if min(by_value) == 0 and max(by_value) > 0:
        yield from _bluntness(figure, by_value[0.0], by_value[max(by_value)], format_epsilon(max(by_value)))


def _bluntness(figure: PaperFigure, natural: Sequence[Result], robust: Sequence[Result], epsilon: str) -> Iterator[str]:
    """Whether what looks like invariance is resistance to the blur that rotation brings."""
    before, after = (mean(seeds, beside_at("there-and-back", 180)) for seeds in (natural, robust))
    if before is not None and after is not None:
        said = (
            "Turned by an angle and back again, where nothing but interpolation is left, the natural "
            f"{figure.shown} keeps {in_line(before)} % of its predictions, and the one trained at {epsilon} "
            f"{in_line(after)} %."
        )
        at_half_turn = [mean(seeds, invariance_at(180)) for seeds in (natural, robust)]
        if larger(after, before) and larger(at_half_turn[1], at_half_turn[0]):
            said += (
                " What is robust against small changes of pixels is robust against the blur of a rotation as well, and "
                "part of the larger rate of invariance is that."
            )
        elif larger(after, before):
            said += " The robust network resists the blur of a rotation better."
        elif larger(before, after):
            said += " The blur alone changes more predictions of the robust network."
        else:
            said += " The intervals meet: the blur does not tell the two apart."
        yield said
    right = [mean(seeds, accuracy) for seeds in (natural, robust)]
    if right[0] is not None and right[1] is not None:
        differ = larger(right[0], right[1]) or larger(right[1], right[0])
        end = ": the two are not equally good." if differ else "."
        yield f"Their accuracies are {in_line(right[0])} % and {in_line(right[1])} %{end}"


def larger(one: Estimate | None, other: Estimate | None) -> bool:
    """For certain: the intervals do not meet."""
    return one is not None and other is not None and one.low > other.high


def in_line(rate: Estimate) -> str:
    """A rate with its interval, in a sentence."""
    return written(rate, None, " ")
