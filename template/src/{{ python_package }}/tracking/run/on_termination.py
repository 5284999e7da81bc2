"""Handle Ctrl-C, SIGTERM and a closed terminal while a run is open."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class OnTermination:
    """Calls back when the process is asked to stop, then lets it stop as usual.

    Only the main thread receives signals; in any other thread this does nothing.

    Args:
        callback: reports to the server, in a separate thread: the main thread may hold
            a lock of MLflow's at that moment. The process waits for it before it ends.
        leave: called before that, in the main thread; must not block.
        hurry: called when a signal arrives inside ``held``; must not block.
    """

    def __init__(
        self,
        callback: Callable[[], None],
        leave: Callable[[], None],
        hurry: Callable[[], None],
    ) -> None:
        self._callback, self._leave, self._hurry = callback, leave, hurry
        self._previous: dict[int, Any] = {}
        self._is_holding = False
        self._held: int | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "OnTermination":
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, n) for n in _NAMES if hasattr(signal, n)]:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Restore the handlers that were set before."""
        if threading.current_thread() is threading.main_thread():
            for number, previous in self._previous.items():
                if signal.getsignal(number) == self._on_signal:
                    signal.signal(number, previous)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay a signal until the end of the block; a second one acts at once."""
        self._is_holding = True
        try:
            yield
        finally:
            self._is_holding = False
            number, self._held = self._held, None
            if number is not None:
                self._stop(number, None)

    def wait(self) -> None:
        """Wait until a callback that is running has reported."""
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_holding and self._held is None:
            self._held = number
            self._hurry()
            return
        try:
            self._stop(number, frame)
        except BaseException:
            self.__exit__()
            if self._thread is None:
                self._leave()
                self._thread = threading.Thread(
                    target=self._callback, name="mlflow-run-killed"
                )
                self._thread.start()
            raise

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Do what the process would do without this class; usually that raises."""
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, frame)
        else:
            for worker in multiprocessing.active_children():
                worker.terminate()  # or ParallelRunner would wait for their nodes
            raise SystemExit(128 + number)  # as a shell reports a signal
