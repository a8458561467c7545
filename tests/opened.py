"""Which files each job of a watched build opened (tests/watch), and who reads what another one writes."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

WATCH = Path(__file__).parent / "watch"


class Job(NamedTuple):
    """The files that a job has read and written, by their paths below the build's folder."""

    reads: frozenset[str]
    writes: frozenset[str]


def jobs(notes: Path) -> list[Job]:
    """Those that have left notes in a folder."""
    return [_job(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
            for path in sorted(notes.iterdir())]


def _job(lines: list[str]) -> Job:
    def of(kind: str) -> frozenset[str]:
        return frozenset(line.removeprefix(kind) for line in lines if line.startswith(kind))

    return Job(of("read "), of("write "))


def inputs(summary: str) -> dict[str, set[str]]:
    """What each output needs, from what `snakemake --detailed-summary` prints."""
    header, *lines = (line.split("\t") for line in summary.splitlines() if "\t" in line)
    places = [header.index(name) for name in ("output_file", "input-file(s)")]
    return {output: set(needs.split(",")) for output, needs in ([line[place] for place in places] for line in lines)}


def undeclared(ran: Iterable[Job], needs: Mapping[str, set[str]]) -> Iterator[str]:
    """Of each job, what it reads that another one writes which needs not have ended before it began."""
    made = [(job, {output for output in needs if _is_in(output, job.writes)}) for job in ran]
    for job, outputs in made:
        before = _all_behind(outputs, needs)
        for other, others in made:
            if other is not job and not others & before:
                yield from (f"{_words(outputs)} reads {path}, which {_words(others)} writes"
                            for path in sorted(job.reads) if _is_in(path, other.writes))


def _words(outputs: Iterable[str]) -> str:
    return " and ".join(sorted(outputs)) or "something else"


def _all_behind(outputs: Iterable[str], needs: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = set(outputs)
    while left:
        found |= left
        left = set().union(*(needs.get(each, set()) for each in left)) - found
    return found - set(outputs)


def _is_in(path: str, written: frozenset[str]) -> bool:
    """Whether a file, or a folder that it lies in and that was renamed as a whole, is among what was written."""
    return path in written or any(str(folder) in written for folder in Path(path).parents)
