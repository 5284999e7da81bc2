"""The chart of what is lost, and of how long a run waits for a dead server."""

from pathlib import Path

import pandas as pd

from benchmarks.contestants import OURS, RIVAL

from .trials import CASES


def draw(trials: pd.DataFrame, file: Path) -> None:
    """Draw a dot for each kill of the server.

    Args:
        trials: rows with ``name``, ``scenario``, ``case``, ``logged``, ``lost`` and
            ``wait``.
        file: the SVG to write.
    """
    import matplotlib.pyplot as plt

    names = [case.name for case in CASES if case.scenario == "server"]
    trials = trials[trials["scenario"] == "server"]
    trials = trials.assign(
        percent=100 * trials["lost"].map(len) / trials["logged"].clip(lower=1),
        place=trials["case"].map({name: n for n, name in enumerate(names)}),
    )
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    columns = {
        "percent": "records lost (%)",
        "wait": "seconds from the last node to the exit",
    }
    for axis, (column, title) in zip(axes, columns.items(), strict=True):
        for name, colour, shift in (
            (RIVAL, "tab:orange", 0.15),
            (OURS, "tab:blue", -0.15),
        ):
            these = trials[trials["name"] == name]
            place = these["place"] + shift
            axis.scatter(
                place, these[column], s=16, alpha=0.6, color=colour, label=name
            )
        axis.set_title(title, fontsize="medium")
        axis.set_xticks(range(len(names)), names, fontsize="small")
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_yscale("symlog", linthresh=10)
    axes[0].legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})
