"""Stand-ins for mlflow and wandb, which are no dependencies: functions with the signatures of theirs, which keep what
they were given and do with it what the real ones begin with."""

import json
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType

CALLS = []  # (name, argument) in the order of the calls


def log_dict(dictionary, artifact_file, run_id=None):
    CALLS.append(("mlflow.log_dict", (json.loads(json.dumps(dictionary, allow_nan=False)), artifact_file)))


def log_figure(figure, artifact_file, *, save_kwargs=None):
    CALLS.append(("mlflow.log_figure", (_drawn(figure), artifact_file)))


def log_metrics(metrics, step=None, synchronous=None, run_id=None, timestamp=None, model_id=None, dataset=None):
    CALLS.append(("mlflow.log_metrics", {name: float(value) for name, value in metrics.items()}))


class Image:
    def __init__(self, data_or_path, mode=None, caption=None, grouping=None, classes=None, boxes=None, masks=None):
        if not isinstance(data_or_path, str):  # W&B knows figures by the name of their class alone
            assert type(data_or_path).__module__.startswith("matplotlib.")
        self.picture = Path(data_or_path).read_bytes() if isinstance(data_or_path, str) else _drawn(data_or_path)


class Run:
    def log(self, data, step=None, commit=None):
        CALLS.append(("run.log", data))

    def log_artifact(self, artifact_or_path, name=None, type=None, aliases=None, tags=None):  # noqa: A002
        CALLS.append(("run.log_artifact", (Path(artifact_or_path).read_text("utf-8"), name, type)))


def init(entity=None, project=None, **others):
    return Run()


def _drawn(figure):
    picture = BytesIO()
    figure.savefig(picture)
    return picture.getvalue()


def install():
    """Put them where the real ones would be."""
    for name, functions in (("mlflow", (log_dict, log_figure, log_metrics)), ("wandb", (Image, init))):
        module = ModuleType(name)
        for function in functions:
            setattr(module, function.__name__, function)
        sys.modules[name] = module
