"""What a run's page says about it, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from ..redaction import without_secrets
from ..terminal.humanize import duration
from .inputs import Input
from .picture import PICTURE
from .tags import LONGEST
from .timeline import NodeRun

_SLOWEST = 5
_MANY = 12  # names in a list


def description(
    command: str,
    pipelines: Sequence[str],
    inputs: Mapping[str, Input],
    outputs: Iterable[str],
    run_id: str = "",
    nodes: Sequence[NodeRun] = (),
    error: str = "",
) -> str:
    """Return the description of a run.

    Args:
        command: the command that runs it again.
        pipelines: the pipelines that run.
        inputs: what it loads from outside.
        outputs: what it saves, by names in the catalog.
        run_id: the server's id of the run, whose artifact is the picture; empty for no
            picture.
        nodes: the nodes that ran; empty while the run is open.
        error: why it failed; empty if it did not.
    """
    what = " and ".join(f"`{name}`" for name in pipelines)
    noun = "Pipeline" if len(pipelines) == 1 else "Pipelines"
    parts = [f"{noun} {what}, as `{command}`"]
    if error:
        failed = [node.name for node in nodes if node.error]
        where = f" in `{failed[0]}`" if failed else ""
        # With a space at its end, since a secret there is hidden up to the next one.
        parts.append(f"**Failed{where}:** `{_inline(error)} `")
    if run_id:
        parts.append(f"![The pipeline](get-artifact?path={PICTURE}&run_uuid={run_id})")
    if inputs:
        rows = [(name, *_where(each)) for name, each in inputs.items()]
        parts.append(_table(("Input", "From", "Digest"), rows))
    if names := list(outputs):
        more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
        listed = ", ".join(f"`{name}`" for name in names[:_MANY])
        parts.append(f"Outputs: {listed}{more}")
    if nodes:
        slowest = sorted(nodes, key=lambda node: -node.seconds)[:_SLOWEST]
        times = [(f"`{node.name}`", duration(node.seconds)) for node in slowest]
        parts.append(_table(("Slowest nodes", "Time"), times))
    while len(text := without_secrets("\n\n".join(parts))) > LONGEST:
        parts.remove(max(parts, key=len))
    return text


def _where(each: Input) -> tuple[str, str]:
    place = each.source.get("uri") or each.source.get("url") or each.source_type
    return f"`{_inline(place)}`", f"`{each.digest[:12]}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *list(rows)[:_MANY]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _inline(text: str) -> str:
    """Return a text for one line of code in a table."""
    return text.splitlines()[0].replace("`", "'").replace("|", "/")[:200]
