"""One HTML page about a run, or about several side by side: everything is inside, nothing is fetched.

The page is made from what the run directories hold, and executes nothing of it: the template escapes every text, its
data are JSON in a block that no browser runs, and its content security policy allows the page's own two scripts (by
their hash) and no network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from invrob.empirical.report.examples import data_of, examples_of
from invrob.empirical.report.gather import Run, read_runs, trainings_of
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
    examples: int  # networks with example images
    skipped: tuple[str, ...]  # why others have none

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return len(self.text.encode())

    def write(self) -> Path:
        """Write the page into its file. Raises OSError where the disk refuses it."""
        return write_atomically(self.path, lambda temporary: temporary.write_text(self.text, encoding="utf-8"))


def write_report(paths: Sequence[Path], out: Path | None = None) -> Report:
    """Write one HTML page about a run, or about several side by side. The same runs give the same bytes.

    The arguments are those of `make_report`, and InputError is raised as there; OSError where the disk refuses the page
    at the end all the same."""
    report = make_report(paths, out)
    report.write()
    return report


def make_report(
    paths: Sequence[Path], out: Path | None = None, progress: Callable[[str, int, int], object] = lambda *_: None
) -> Report:
    """One HTML page about a run, or about several side by side, that is not written yet.

    Args:
        paths: run directories; the first is what the others are compared with.
        out: the file. Where it is left out, report.html in the folder of a single run, and comparison.html in the
            current one for several.
        progress: called with what is being done, how many of its steps are done, and of how many.

    Returns:
        The page.

    Raises:
        InputError: for a folder without finished cells, and, before anything is drawn, for a file that cannot
            be written.
    """
    runs = read_runs(paths)
    target = out or (runs[0].path / "report.html" if len(runs) == 1 else Path("comparison.html"))
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file, such as {target / 'report.html'}")
    check_writable([target])
    trainings = trainings_of(runs)
    data = {run.label: data_of(run) for run in runs}
    examples = []
    for number, training in enumerate(trainings):
        progress("example images", number, len(trainings))
        dataset = data[training.run.label].dataset
        if dataset is not None:
            examples.append(examples_of(training, dataset))
    progress("drawing", len(trainings), len(trainings))
    text = rendered(runs, trainings, data, examples)
    skipped = [of_run.why_not for of_run in data.values() if of_run.why_not]
    skipped += [f"{of_training.name}: {of_training.why_not}" for of_training in examples if of_training.why_not]
    return Report(target, text, runs, sum(bool(of_training.examples) for of_training in examples), tuple(skipped))
