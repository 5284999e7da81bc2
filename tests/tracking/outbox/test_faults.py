"""Random records and random faults: in the end the server has everything, in order, once."""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunTag
from tracking.outbox.delivery import Delivery
from tracking.outbox.folder import About, local_id, this_host
from tracking.outbox.left import left_outboxes, send
from tracking.outbox.outbox import opened_outbox
from tracking.outbox.records import batch_records, info_record
from tracking.run.killed import last_words

from tests.recorder import Answer, recorder

NAMES = st.sampled_from("abcd")
RECORDS = st.lists(
    st.one_of(
        st.tuples(st.just("metric"), NAMES, st.integers(0, 9)),
        st.tuples(st.just("param"), NAMES, st.just(0)),
        st.tuples(st.just("tag"), NAMES, st.integers(0, 9)),
        st.tuples(st.just("file"), NAMES, st.integers(0, 9)),
        st.tuples(st.just("flush"), st.just(""), st.just(0)),
    ),
    max_size=25,
)
FAULTS = st.lists(
    st.sampled_from(
        ["ok", "503", "429", "401", "page", "lost", "cut", "late", "twice"]
    ),
    max_size=12,
)
PAGE = b"<!doctype html><title>Log in</title>"


class Faults:
    """Answers the next requests badly, one after the other, then well."""

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = list(kinds)

    def spoil(self, path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        kind = self.kinds.pop(0) if self.kinds else "ok"
        if kind == "lost":  # the server has it, and the client does not know
            answer()
            return 502, b""
        if kind == "twice":
            first = answer()
            return first if "create" in path else answer()
        if "mlflow-artifacts" in path and kind in ("page", "cut"):
            kind = "503"  # MLflow takes any 200 for an upload that has arrived
        if kind == "late":
            time.sleep(0.2)
        bad = {"503": (503, b""), "429": (429, b""), "401": (401, b"who?")}
        bad |= {"page": (200, PAGE), "cut": (200, b'{"run": {')}
        return bad.get(kind) or answer()


@given(records=RECORDS, faults=FAULTS, later=FAULTS, is_local=st.booleans())
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_server_has_everything_once_whatever_it_answered(
    server: str,
    tmp_path: Path,
    records: list[tuple[str, str, int]],
    faults: list[str],
    later: list[str],
    is_local: bool,
) -> None:
    client, name = mlflow.MlflowClient(server), uuid.uuid4().hex
    experiment = client.create_experiment(name)
    spoiled = Faults([])
    outboxes = tmp_path / name

    with recorder(server, spoil=spoiled.spoil) as proxy:

        def delivery(folder: Path) -> Delivery:
            return Delivery(proxy.uri, folder, lambda _: experiment)

        opening = local_id()
        about = About(opening, "run", name, "local", proxy.uri, this_host(), 0)
        with opened_outbox(outboxes, about, delivery, float("inf")) as outbox:
            if is_local:
                tags = {"kedro.opening": opening}
                run = outbox.create_local_run(None, tags, "run", 1, opening)
            else:
                run = client.create_run(experiment, run_name="run")
                outbox.opened(opening, run)
            spoiled.kinds = list(faults)
            outbox.start(lambda _: None, lambda: None)
            logged = log(outbox, run.info.run_id, records, tmp_path)
            outbox.write([info_record(run.info.run_id, "FINISHED", 2)])
            outbox.flush(timeout=1)
            assert not outbox.take_refused()
        spoiled.kinds = list(later)
        for _ in range(len(later) + 1):
            for left in left_outboxes(outboxes, last_words):
                assert not left.was_killed
                refused, _why = send(left, delivery(left.folder), lambda _: False)
                assert not refused
        assert not list(left_outboxes(outboxes, last_words))

    (found,) = client.search_runs([experiment])
    assert (found.info.status, found.info.end_time) == ("FINISHED", 2)
    assert found.data.params == logged["param"]
    assert {k: v for k, v in found.data.tags.items() if len(k) == 1} == logged["tag"]
    for key, values in logged["metric"].items():
        points = client.get_metric_history(found.info.run_id, key)
        assert [(point.step, point.value) for point in points] == values
    assert {
        file.path: Path(
            client.download_artifacts(found.info.run_id, file.path, str(tmp_path))
        ).read_text()
        for file in client.list_artifacts(found.info.run_id)
    } == logged["file"]


def log(
    outbox: Any, run_id: str, records: list[tuple[str, str, int]], folder: Path
) -> dict[str, Any]:
    """Log records, and return what the server should have in the end."""
    logged: dict[str, Any] = defaultdict(dict)
    for step, (kind, key, value) in enumerate(records):
        if kind == "metric":
            metrics = [Metric(key, float(value), step + 1, step)]
            outbox.write(batch_records(run_id, metrics))
            logged[kind].setdefault(key, []).append((step, float(value)))
        elif kind == "param":
            outbox.write(batch_records(run_id, params=[Param(key, key)]))
            logged[kind][key] = key
        elif kind == "tag":
            outbox.write(batch_records(run_id, tags=[RunTag(key, str(value))]))
            logged[kind][key] = str(value)
        elif kind == "file":
            file = folder / f"{key}.txt"
            file.write_text(str(value))
            outbox.write_file(run_id, file, file.name)
            file.unlink()
            logged[kind][file.name] = str(value)
        else:
            outbox.flush(0)
    return logged
