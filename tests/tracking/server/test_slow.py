"""A run waits for a slow server, and warns the user."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from kedro.pipeline import Pipeline, node

from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])


def test_slow_first_answer_is_waited_for_and_the_user_knows(
    project: Project, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    asked = threading.Event()

    def spoil(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if not asked.is_set():
            asked.set()
            time.sleep(12)
        return answer()

    with recorder(server, spoil=spoil) as proxy:
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{proxy.uri}'}}")
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(project.run, ONE)
            assert asked.wait(60)
            started = time.monotonic()
            while "is slow" not in caplog.text and not run.done():
                time.sleep(0.1)
            assert time.monotonic() - started < 10
            run.result()
    assert caplog.text.count("is slow; still waiting for it") == 1
