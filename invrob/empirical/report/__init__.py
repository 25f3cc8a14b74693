"""One HTML page about a run, or about several side by side: everything is inside, nothing is fetched.

The page is made from what the run directories hold, and executes nothing of it: the template escapes every text, its
data are JSON in a block that no browser runs, and its content security policy allows the page's own two scripts (by
their hash) and no network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from invrob.empirical.report.examples import Found, Shown, dataset_of, shown
from invrob.empirical.report.gather import Run, Training, read_runs, trainings_of
from invrob.empirical.report.render import rendered
from invrob.errors import InputError
from invrob.files import write_atomically


@dataclass(frozen=True)
class Report:
    """What was written."""

    path: Path
    runs: tuple[Run, ...]
    examples: int  # networks with example images
    skipped: tuple[str, ...]  # why others have none

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return self.path.stat().st_size


def write_report(
    paths: Sequence[Path], out: Path | None = None, told: Callable[[str, int, int], object] = lambda *_: None
) -> Report:
    """Write the report of the runs at `paths` to `out`: report.html in the folder of a single run, comparison.html in
    the current one for several, where it is left out.

    told: what is being done, how many of its steps are done, of how many. Raises InputError for a folder without
    finished cells and for a file that cannot be written. The same runs give the same bytes."""
    runs = read_runs(paths)
    target = out or (runs[0].path / "report.html" if len(runs) == 1 else Path("comparison.html"))
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file, such as {target / 'report.html'}")
    trainings = trainings_of(runs)
    data = {run.label: dataset_of(run) for run in runs}
    examples = _examples(trainings, data, told)
    told("drawing", len(trainings), len(trainings))
    text = rendered(runs, trainings, data, examples)
    try:
        write_atomically(target, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}): choose another --out") from None
    why_not = [found.why_not for found in data.values() if found.why_not]
    why_not += [f"{each.training}: {each.why_not}" for each in examples if each.why_not]
    return Report(target, runs, sum(bool(each.examples) for each in examples), tuple(why_not))


def _examples(
    trainings: Sequence[Training],
    data: dict[str, Found],
    told: Callable[[str, int, int], object],
) -> list[Shown]:
    listed = []
    for number, training in enumerate(trainings):
        told("example images", number, len(trainings))
        dataset = data[training.run.label].dataset
        if dataset is not None:
            listed.append(shown(training, dataset))
    return listed
