"""Ctrl-C, SIGTERM and a closed terminal while a run is under way."""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class OnTermination:
    """Calls back when the process is asked to stop, then lets it stop as it would.

    Signals reach the main thread alone; in any other thread this does nothing.

    Args:
        callback: called once, in a thread of its own: the main thread may hold a lock
            of MLflow's at that moment. The process waits for it before it ends.
        first: called before that, in the main thread; must not block.
    """

    def __init__(self, callback: Callable[[], None], first: Callable[[], None]) -> None:
        self._callback, self._first = callback, first
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, n) for n in _NAMES if hasattr(signal, n)]:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays so
                    self._previous[number] = signal.signal(number, self._interrupted)

    def end(self) -> None:
        """Put the handlers back that were there before."""
        if threading.current_thread() is threading.main_thread():
            for number, previous in self._previous.items():
                if signal.getsignal(number) == self._interrupted:
                    signal.signal(number, previous)
            self._previous = {}

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(number)
        self.end()
        self._first()
        threading.Thread(target=self._callback, name="mlflow-run-killed").start()
        if callable(previous):
            previous(number, frame)
        else:
            for worker in multiprocessing.active_children():
                worker.terminate()  # or ParallelRunner would wait for their nodes
            raise SystemExit(128 + number)  # what a shell shows for a signal
