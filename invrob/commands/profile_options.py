"""The options of `invrob profile`, with their help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from invrob.commands.helping import examples

SPECS = "pkg.module:callable, timm:NAME, torchvision:NAME, FILE.pt2, FILE.pt, FILE.onnx or RUN/cells/KEY."
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

Spec = Annotated[str, typer.Argument(help=SPECS, show_default=False)]
Data = Annotated[str, typer.Option(help="A name from `invrob data list`, npz:PATH or folder:PATH.", show_default=False)]
Split = Annotated[Literal["test", "validation", "train"], typer.Option(help="Which of its images.")]
Images = Annotated[int, typer.Option(min=1, help="How many of them, at most.")]

Weights = Annotated[
    Path | None,
    typer.Option(help="FILE.safetensors, or a state dict by torch.save.", rich_help_panel=MODEL),
]
Prefix = Annotated[
    str,
    typer.Option(
        help="With which its names begin in that file, such as ema.; found out.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
ModelArgs = Annotated[
    list[str] | None,
    typer.Option(
        help="Of what builds the model: num_classes=10,width=0.5; repeatable.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Pretrained = Annotated[
    bool,
    typer.Option("--pretrained", help="Published weights of timm or torchvision; may download.", rich_help_panel=MODEL),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.", rich_help_panel=MODEL)]
Mean = Annotated[
    str | None, typer.Option(help="Subtracted inside the model: 0.13, or one per channel.", rich_help_panel=MODEL)
]
Std = Annotated[str | None, typer.Option(help="Divided by inside the model, likewise.", rich_help_panel=MODEL)]
Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Side to which images are resized inside the model, or pictures of a folder: when read.",
        rich_help_panel=MODEL,
    ),
]
Channels = Annotated[
    Literal["auto", "keep"],
    typer.Option(
        help="auto: grey images are repeated where the model takes them in no other way.", rich_help_panel=MODEL
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="The module or file whose code has built the network of RUN/cells/KEY, and may run.",
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or cuda:1.", rich_help_panel=MODEL)
]

Thetas = Annotated[
    list[str] | None,
    typer.Option(help="0:180:15 or 0,30,90; for one of several: translation=0:8:2.", rich_help_panel=ATTACK),
]
Epsilons = Annotated[
    list[str] | None,
    typer.Option(help="0,4/255,8/255; for one of several norms: l2=0,0.5,1.", rich_help_panel=ATTACK),
]
Norms = Annotated[list[str], typer.Option(help="linf, l2; repeat it for both.", rich_help_panel=ATTACK)]
Transformations = Annotated[
    list[str], typer.Option(help="rotation, translation, scaling, shear, ...; repeatable.", rich_help_panel=ATTACK)
]
Adversaries = Annotated[
    list[str],
    typer.Option(help="average over changes; beside it worst-of-10 or grid; repeatable.", rich_help_panel=ATTACK),
]
Attack = Annotated[
    Literal["auto", "gradient", "black-box"],
    typer.Option(help="auto: by gradients where the model gives them.", rich_help_panel=ATTACK),
]
Steps = Annotated[
    int | None,
    typer.Option(
        min=1, help="Of an attack by gradients with a fixed effort.", show_default=False, rich_help_panel=ATTACK
    ),
]
Restarts = Annotated[
    int | None,
    typer.Option(
        min=1, help="Likewise; without both, the effort that it needs.", show_default=False, rich_help_panel=ATTACK
    ),
]
Audit = Annotated[
    str,
    typer.Option(help="Images attacked with much more, to bound the error; 0 for none.", rich_help_panel=ATTACK),
]
Queries = Annotated[int, typer.Option(min=1, help="Of black-box, per image and epsilon.", rich_help_panel=ATTACK)]
Seed = Annotated[
    int, typer.Option(min=0, max=10**9, help="Of angles, starts and random weights.", rich_help_panel=ATTACK)
]

Out = Annotated[
    Path | None,
    typer.Option(help="Folder of profile.json and card.png; runs/profile-MODEL-WEIGHTS-DATA.", rich_help_panel=OUTPUT),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace a profile of another measurement in that folder.", rich_help_panel=OUTPUT),
]
PerClass = Annotated[bool, typer.Option("--per-class", help="A row per class as well.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.", rich_help_panel=OUTPUT)]
Traceback = Annotated[
    bool, typer.Option("--traceback", help="Where an exception of the model came from.", rich_help_panel=OUTPUT)
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the content of profile.json and nothing else.", rich_help_panel=OUTPUT)
]
