"""What one process sends is sent by no other."""

import time
from collections.abc import Callable
from pathlib import Path

import mlflow
from mlflow.entities import Metric
from tracking.outbox.delivery import Delivery
from tracking.outbox.folder import About, this_host
from tracking.outbox.left import left_outbox, send
from tracking.outbox.outbox import opened_outbox
from tracking.outbox.records import batch_records, info_record
from tracking.run.killed import last_words

from tests.loopback import wait_until
from tests.recorder import Answer, recorder


def test_outbox_stays_locked_until_its_last_request_has_ended(
    server: str, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient(server)
    run = client.create_run(client.create_experiment(tmp_path.name))
    run_id = run.info.run_id
    ended = []

    def slowly(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if path.endswith("log-batch"):
            time.sleep(5)
            ended.append(path)
        return answer()

    with recorder(server, spoil=slowly) as proxy:

        def delivery(folder: Path) -> Delivery:
            return Delivery(proxy.uri, folder, lambda _: run.info.experiment_id)

        about = About(run_id, "run", "", "local", proxy.uri, this_host(), 0)
        with opened_outbox(tmp_path / "o", about, delivery, float("inf")) as outbox:
            outbox.opened(run_id, run)
            outbox.write(batch_records(run_id, [Metric("m", 1.0, 1, 0)]))
            outbox.write([info_record(run_id, "FINISHED", 2)])
            folder = outbox.folder
        assert folder
        with left_outbox(folder, last_words) as left:
            assert left
            send(left, delivery(folder), lambda _: True)  # as Ctrl-C would
        with left_outbox(folder, last_words) as again:
            assert again is None
        assert not ended
        wait_until(lambda: bool(ended), 10)

        def is_free() -> bool:
            with left_outbox(folder, last_words) as left:
                if left:
                    send(left, delivery(folder), lambda _: False)
            return not folder.exists()

        wait_until(is_free, 20)
    assert len(client.get_metric_history(run_id, "m")) == 1
