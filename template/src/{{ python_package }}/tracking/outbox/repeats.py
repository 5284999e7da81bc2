"""What another attempt of a task has sent to the same run, and is not sent again."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .folder import TASK
from .journal import Record

if TYPE_CHECKING:
    from mlflow.entities import Run


class Repeats:
    """Drops points that the run has already: MLflow keeps equal ones of different times.

    A point of this attempt is a repeat if the run has one more point with the same
    metric, step and value. One that is sent twice is decided upon once.

    Args:
        run_id: the run of the workflow.
        run: as it was when this attempt began; None for an attempt that has ended, and
            whose report must not replace that of a later one.
    """

    def __init__(self, run_id: str, run: "Run | None" = None) -> None:
        self._run_id, self._run, self._is_late = run_id, run, run is None
        self._points: dict[str, Counter[tuple[int, str]]] = {}
        self._dropped: set[str] = set()

    def without(
        self, run_id: str, batch: Sequence[Record], call: Callable[..., Any]
    ) -> list[Record]:
        """Return the records of a batch that the run does not have.

        Args:
            run_id: the run that they are for, by the server's id.
            batch: the records.
            call: calls a method of MLflow's store; one request for each metric that the
                run had before.

        Raises:
            Exception: the server is away.
        """
        if run_id != self._run_id:  # a nested run belongs to one attempt
            return list(batch)
        run = self._run = self._run or call("get_run", run_id)
        return [record for record in batch if not self._is_repeat(record, run, call)]

    def _is_repeat(self, record: Record, run: "Run", call: Callable[..., Any]) -> bool:
        data, key = record.data, record.data["key"]
        if record.kind == "tag" and key.startswith(TASK) and self._is_late:
            newest = json.loads(run.data.tags.get(key, '{"at": 0}'))
            return bool(newest["at"] > json.loads(data["value"])["at"])
        if record.kind != "metric":
            return False
        if key not in self._points:
            is_there = key in run.data.metrics
            there = call("get_metric_history", run.info.run_id, key) if is_there else ()
            self._points[key] = Counter((m.step, repr(float(m.value))) for m in there)
        point, whole = (data["step"], repr(data["value"])), json.dumps(data)
        if whole not in self._dropped and self._points[key][point]:
            self._points[key][point] -= 1
            self._dropped.add(whole)
        return whole in self._dropped
