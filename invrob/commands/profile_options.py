"""The options of `invrob profile`, with their help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from invrob.commands.helping import examples

MODEL, ATTACK, OUTPUT = "The model", "The attacks", "The output"  # panels of --help
EXAMPLES = examples(
    "invrob profile mynet:build --weights mynet.safetensors --data mnist-mini",
    "invrob profile model.onnx --data npz:images.npz --json",
    "invrob profile timm:resnet18 --pretrained --data npz:imagenet.npz --epsilons 0,1/255,4/255",
    "invrob profile runs/mini/cells/KEY --data mnist-mini --norm linf --norm l2 --transformation translation",
    note="What a SPEC executes: pkg.module:callable runs the code of that module, and timm:NAME or torchvision:NAME "
    "runs the code of that library. FILE.pt2, FILE.pt and FILE.onnx run the operators of their graph, and no Python. "
    "Weights run nothing. Nothing is ever unpickled.",
)

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="The model: pkg.module:callable, timm:NAME, torchvision:NAME, FILE.pt2, FILE.pt, FILE.onnx, or "
        "RUN/cells/KEY for a network of a run.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        metavar="DATA",
        help="The images with their labels: a name from `invrob data list`, npz:FILE or folder:FOLDER.",
        show_default=False,
    ),
]
Split = Annotated[
    Literal["test", "validation", "train"],
    typer.Option(metavar="test|validation|train", help="Which part of the data set is measured."),
]
Images = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="How many of its images are measured, at most, drawn at random."),
]

Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The weights: FILE.safetensors, or a state dict that torch.save has written.",
        rich_help_panel=MODEL,
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        help="What the names in that file begin with, such as ema or module. It is found out when left out.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
ModelArgs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE,...",
        help="Arguments of the function that builds the model, such as num_classes=10,width=0.5.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Pretrained = Annotated[
    bool,
    typer.Option(
        "--pretrained",
        help="Use the weights that timm or torchvision publish. They may be downloaded.",
        rich_help_panel=MODEL,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.", rich_help_panel=MODEL)]
Mean = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        help="Subtract this from the images in [0, 1], inside the model: one number, or one per channel, such as "
        "0.49,0.48,0.45.",
        rich_help_panel=MODEL,
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        help="Divide by this after that, inside the model: one number, or one per channel.",
        rich_help_panel=MODEL,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="Resize images to this side inside the model. Pictures of a folder are resized as they are read.",
        rich_help_panel=MODEL,
    ),
]
Channels = Annotated[
    Literal["auto", "keep"],
    typer.Option(
        metavar="auto|keep",
        help="auto repeats grey images where the model takes them in no other way; keep never does.",
        rich_help_panel=MODEL,
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Let the code of this module or file run, which has built the network of RUN/cells/KEY.",
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where the model runs: auto (a GPU where there is one), cpu, cuda or cuda:1.",
        rich_help_panel=MODEL,
    ),
]

Thetas = Annotated[
    list[str] | None,
    typer.Option(
        metavar="VALUES",
        help="How far images are changed, in degrees for a rotation: 0:180:15 or 0,30,90. For one of several "
        "transformations write translation=0:8:2.",
        rich_help_panel=ATTACK,
    ),
]
Epsilons = Annotated[
    list[str] | None,
    typer.Option(
        metavar="VALUES",
        help="How large perturbations may be, for pixels in [0, 1]: 0,4/255,8/255. For one of several norms write "
        "l2=0,0.5,1.",
        rich_help_panel=ATTACK,
    ),
]
Norms = Annotated[
    list[str],
    typer.Option(metavar="linf|l2", help="How the size of a perturbation is measured.", rich_help_panel=ATTACK),
]
Transformations = Annotated[
    list[str],
    typer.Option(
        metavar="NAME",
        help="What the model should be invariant under: rotation, translation, scaling, shear, rotation+translation, "
        "horizontal-flip or vertical-flip.",
        rich_help_panel=ATTACK,
    ),
]
Adversaries = Annotated[
    list[str],
    typer.Option(
        metavar="NAME",
        help="How transformations are chosen: average over random ones, and beside it worst-of-10 (the worst of ten "
        "random ones) or grid (the worst of a grid).",
        rich_help_panel=ATTACK,
    ),
]
Attack = Annotated[
    Literal["auto", "gradient", "black-box"],
    typer.Option(
        metavar="auto|gradient|black-box",
        help="How perturbations are found. auto takes gradients where the model gives them, else black-box, which "
        "only asks the model.",
        rich_help_panel=ATTACK,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Give an attack by gradients so many steps. Without this and --restarts it takes the effort that it "
        "needs.",
        show_default=False,
        rich_help_panel=ATTACK,
    ),
]
Restarts = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Give an attack by gradients so many random starts.",
        show_default=False,
        rich_help_panel=ATTACK,
    ),
]
Audit = Annotated[
    str,
    typer.Option(
        metavar="auto|N",
        help="How many images are attacked again with much more effort, which bounds the error of the attack. 0 leaves "
        "it out.",
        rich_help_panel=ATTACK,
    ),
]
Queries = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="How often a black-box attack may ask the model, for each image and epsilon.",
        rich_help_panel=ATTACK,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        max=10**9,
        metavar="N",
        help="The seed of all that is random. The same seed gives the same numbers.",
        rich_help_panel=ATTACK,
    ),
]

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Write profile.json and card.png into this folder. Left out, it is runs/profile-MODEL-WEIGHTS-DATA.",
        rich_help_panel=OUTPUT,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace what that folder holds, such as another profile.", rich_help_panel=OUTPUT),
]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="Print the rates of each class as well.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print neither progress nor tables.", rich_help_panel=OUTPUT)
]
Traceback = Annotated[
    bool,
    typer.Option(
        "--traceback", help="Print the whole traceback where the model raises an exception.", rich_help_panel=OUTPUT
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the content of profile.json and nothing else.", rich_help_panel=OUTPUT)
]
