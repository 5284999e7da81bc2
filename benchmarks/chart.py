"""The chart of what tracking costs against the number of nodes."""

from pathlib import Path

import matplotlib
import pandas as pd

from .contestants import BARE, OURS, RIVAL

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "benchmarks"  # the same figures, the same file


def draw(runs: pd.DataFrame, file: Path) -> None:
    """Draw seconds over bare Kedro against nodes, one panel for each store.

    Args:
        runs: rows with ``name``, ``nodes``, ``store`` and ``seconds``.
        file: the SVG to write.
    """
    import matplotlib.pyplot as plt

    stores = runs["store"].unique()
    figure, axes = plt.subplots(
        1, len(stores), figsize=(3 * len(stores), 3), sharex=True, layout="constrained"
    )
    for axis, store in zip(axes, stores, strict=True):
        case = runs[runs["store"] == store]
        seconds = case.pivot(index="nodes", columns="name", values="seconds")
        for name, colour in ((RIVAL, "tab:orange"), (OURS, "tab:blue")):
            over = seconds[name] - seconds[BARE]
            axis.plot(over.index, over, marker="o", label=name, color=colour)
        axis.set_title(store)
        axis.set_xlabel("nodes")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("seconds over bare Kedro")
    axes[0].legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})
