"""What `scale.py` measured, as Markdown and as plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Timing, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Sequence[Mapping[str, Any]]]
"""For each measurement its rows: names and figures, timings as mappings."""

BLUE, ORANGE, GREEN, GREY = "#2563eb", "#d97706", "#059669", "#6b7280"

TITLES = {
    "users": "One user's memories among more and more other users",
    "size": "More and more memories of one user",
    "index": "HNSW against exact search, on real sentences",
    "threads": "Threads of one process, each for a user with 1,000 memories",
    "processes": "Processes on one file, nine recalls to one stored memory",
}


def cell(value: object) -> str:
    """A figure as text."""
    if isinstance(value, Mapping):
        return str(Timing(**value))
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def report(figures: Figures, details: Mapping[str, str]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Scale",
        "",
        "Written by `benchmarks/scale.py`. Times in milliseconds, median (99th percentile), without the",
        "embedding.",
        "",
        "![Plots](scale.svg)",
        "",
    ]
    for name, rows in figures.items():
        columns = list(rows[0])
        lines += [f"## {TITLES[name]}", ""]
        lines += table(
            [column.replace("_", " ") for column in columns],
            [[cell(row[column]) for column in columns] for row in rows],
        )
        lines.append("")
    lines += ["## The machine", "", *(f"- {name}: {value}" for name, value in details.items())]
    return "\n".join(lines) + "\n"


def plot(figures: Figures, path: Path) -> None:
    """Recall by the user's memories, by other users' memories, and through HNSW."""
    import matplotlib as mpl  # noqa: PLC0415 - only a full run draws

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "headroom"})
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after its backend was chosen

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    _plot_sizes(left, figures["size"])
    _plot_others(middle, figures["users"])
    _plot_index(right, figures["index"])
    for axes in (left, middle, right):
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _plot_sizes(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    for name, colour in (("exact", BLUE), ("hnsw", ORANGE)):
        found = [row for row in rows if row["search"] == name]
        sizes = [row["memories"] for row in found]
        for part, style in (("p50", "o-"), ("p99", ":")):
            times = [row["recall"][part] for row in found]
            axes.plot(sizes, times, style, color=colour, label=f"{name}, {part}")
    axes.set(xscale="log", yscale="log", title="One user's memories")
    axes.set_yticks(ticks := [0.25, 0.5, 1, 2, 4], labels=map(str, ticks))
    axes.minorticks_off()
    axes.set(xlabel="memories of the user", ylabel="recall, ms")
    axes.legend(frameon=False)


def _plot_others(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    sizes = [row["rows"] for row in rows]
    for name, label, colour in (("recall", "recall", BLUE), ("add", "store", GREEN)):
        axes.plot(sizes, [row[name]["p50"] for row in rows], "o-", color=colour, label=label)
    axes.set(xscale="log", ylim=(0, None), title="10,000 memories among others'")
    axes.set(xlabel="memories in the file", ylabel="median, ms")
    axes.legend(frameon=False)


def _plot_index(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    sizes = [row["memories"] for row in rows]
    for name, label, colour in (("exact", "exact", BLUE), ("hnsw", "HNSW", ORANGE)):
        axes.plot(sizes, [row[name]["p50"] for row in rows], "o-", color=colour, label=label)
    axes.set(title="HNSW on real sentences", ylim=(0, None), xticks=[10_000, 50_000, 100_000])
    axes.set(xlabel="memories of the user", ylabel="recall, median ms")
    share = axes.twinx()
    share.plot(sizes, [100 * row["recall_at_10"] for row in rows], "s--", color=GREY)
    share.set(ylim=(0, 105), ylabel="recall@10 against exact, % (dashed)")
    axes.legend(frameon=False, loc="lower right")
