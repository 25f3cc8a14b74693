"""One HTML page about runs and about models of one's own, side by side: everything is inside, nothing is fetched.

The page is made from what run directories and folders of `invrob profile` hold, and executes nothing of it: the
template escapes every text, its data are JSON in a block that no browser runs, and its content security policy allows
the page's own two scripts (by their hash) and no network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from invrob.empirical.analysis import shared_grids
from invrob.empirical.experiments import ModelCard
from invrob.empirical.report.examples import RunData, TrainingExamples, data_of, examples_of
from invrob.empirical.report.gather import Profiled, Run, Training, profiles_of, read_sources, runs_of, trainings_of
from invrob.empirical.report.render import rendered
from invrob.errors import InputError
from invrob.files import check_writable, write_atomically

__all__ = ["Report", "make_report", "write_report"]


@dataclass(frozen=True)
class Report:
    """A page, and the file that it is for."""

    path: Path
    text: str = field(repr=False)
    runs: tuple[Run, ...]
    profiles: tuple[Profiled, ...]
    examples: int  # networks with example images
    skipped: tuple[str, ...]  # why others have none

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return len(self.text.encode())

    def write(self) -> Path:
        """Write the page into its file. Raises OSError where the disk refuses it."""
        return write_atomically(self.path, lambda temporary: temporary.write_text(self.text, encoding="utf-8"))


def write_report(paths: Sequence[Path], out: Path | None = None, card: ModelCard | None = None) -> Report:
    """Write one HTML page about runs and models of one's own, side by side. The same folders give the same bytes.

    The arguments are those of `make_report`, and InputError is raised as there; OSError where the disk refuses the page
    at the end all the same."""
    report = make_report(paths, out, card=card)
    report.write()
    return report


def make_report(
    paths: Sequence[Path],
    out: Path | None = None,
    progress: Callable[[str, int, int], object] = lambda *_: None,
    card: ModelCard | None = None,
) -> Report:
    """One HTML page about runs and models of one's own, side by side, that is not written yet.

    Args:
        paths: run directories, and folders of `invrob profile`; the first run is what the others are compared with.
        out: the file. Where it is left out, report.html in a single folder, and comparison.html in the current one for
            several.
        progress: called with what is being done, how many of its steps are done, and of how many.
        card: what is said of the models beside what was measured. Its fields take the place of those in the
            configuration of a run.

    Returns:
        The page.

    Raises:
        InputError: for a folder that holds neither finished cells nor a profile, for models that share no theta or no
            epsilon, or were measured in two norms or under two transformations, and, before anything is drawn, for a
            file that cannot be written.
    """
    sources = read_sources(paths)
    target = out or (sources[0].path / "report.html" if len(sources) == 1 else Path("comparison.html"))
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file, such as {target / 'report.html'}")
    check_writable([target])
    trainings, runs = trainings_of(sources), runs_of(sources)
    shared_grids({training.name: training.seeds for training in trainings})  # refuses what has no plane in common
    data = {run.label: data_of(run) for run in runs}
    trained = [training for training in trainings if training.results]
    examples = []
    for number, training in enumerate(trained):
        progress("example images", number, len(trained))
        examples += _examples_of(training, data[training.source.label])
    progress("drawing", len(trained), len(trained))
    text = rendered(sources, trainings, data, examples, card)
    skipped = [of_run.why_not for of_run in data.values() if of_run.why_not]
    skipped += [f"{of_training.name}: {of_training.why_not}" for of_training in examples if of_training.why_not]
    shown = sum(bool(of_training.examples) for of_training in examples)
    return Report(target, text, runs, profiles_of(sources), shown, tuple(skipped))


def _examples_of(training: Training, data: RunData) -> list[TrainingExamples]:
    """Nothing where the data are not at hand."""
    return [] if data.dataset is None else [examples_of(training, data.dataset)]
