"""Measurements as tables, on the screen and in bench/RESULTS.md."""

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

VERSIONS = ("dify_plugin", "gevent", "pydantic", "orjson", "werkzeug")
HEAD = """# Results

Written by `make bench`. `null` is a relay on the stock SDK that reads an app's events and writes one constant chunk for each;
`original` writes each as JSON with `<br>`; `duck-stock` is Duck on the SDK's own transport, for which it only keeps the validator
that the SDK builds anew for each line. Medians, and from the least to the most in brackets; ratios are of rounds in turn.
"""


@dataclass(slots=True)
class Table:
    """A table, whose rows are printed when they are added."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def row(self, *cells: str) -> None:
        """Adds a row."""
        self.rows.append(cells)
        print(
            f"  {self.title}: " + ", ".join(f"{name} {cell}" for name, cell in zip(self.columns, cells, strict=True)), flush=True
        )

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return f"## {self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(slots=True)
class Report:
    """All measurements, and the goals."""

    parts: list[Table | str] = field(default_factory=list)
    goals: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def table(self, title: str, *columns: str) -> Table:
        """Adds a table."""
        table = Table(title, columns)
        self.parts.append(table)
        return table

    def line(self, text: str) -> None:
        """Adds a line of text."""
        print(f"  {text}", flush=True)
        self.parts.append(text)

    def goal(self, measure: str, goal: float, value: float, *, at_least: bool = False) -> None:
        """Adds a goal: `value` should be at most `goal`, or `at_least`."""
        is_met = value >= goal if at_least else value <= goal
        self.goals.append((measure, f"{'≥' if at_least else '≤'} {goal:g}", f"{value:.2f}".rstrip("0").rstrip("."), is_met))

    @property
    def is_met(self) -> bool:
        """Whether all goals are met."""
        return all(is_met for *_, is_met in self.goals)

    def print_goals(self) -> None:
        """Prints all goals with their measurements."""
        for measure, goal, value, is_met in self.goals:
            print(f"{'  ' if is_met else '! '}{measure}: {value} ({goal})")

    def write(self, path: Path) -> None:
        """Writes the report to a file, as Markdown."""
        goals = Table("Goals", ("measure", "goal", "measured", ""))
        goals.rows = [(measure, goal, value, "✓" if is_met else "✗") for measure, goal, value, is_met in self.goals]
        parts = [HEAD, _machine(), goals.markdown()]
        parts += [part if isinstance(part, str) else part.markdown() for part in self.parts]
        path.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def spread(values: Sequence[float], times: float = 1, *, digits: int = 1) -> str:
    """The median, with the least and the greatest value in brackets."""
    least, most = min(values) * times, max(values) * times
    return f"{median(values) * times:.{digits}f} [{least:.{digits}f}-{most:.{digits}f}]"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of sorted values is."""
    return values[min(len(values) - 1, int(len(values) * share))]


def ms(seconds: float) -> str:
    """Seconds as text in milliseconds."""
    return f"{seconds * 1000:.1f}"


def _machine() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    memory = psutil.virtual_memory().total / 2**30
    where = f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores, {memory:.0f} GiB"
    return f"Machine: {where}; Python {platform.python_version()}, {versions}."
