"""Progress is shown on a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys

import pytest

PLAIN = "with progress('Working'): pass"
THREAD = (
    "from threading import Thread\n"
    "def work():\n"
    f"    {PLAIN}\n"
    "thread = Thread(target=work); thread.start(); thread.join()"
)
BESIDE = f"import rich\nwith rich.get_console().status('Mine'):\n    {PLAIN}"


def seen(code: str, **variables: str) -> str:
    """Run a program in a new terminal; return what the terminal shows."""
    ours, its = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k != "CI"}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **variables}
    words = [
        sys.executable,
        "-c",
        f"from tracking.terminal.progress import progress\n{code}",
    ]
    try:
        subprocess.run(words, stdout=its, stderr=its, env=env, check=True)
    finally:
        os.close(its)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the end, on Linux
        pass
    finally:
        os.close(ours)
    return shown.decode()


def test_terminal_shows_what_is_under_way_and_then_nothing_of_it() -> None:
    shown = seen(PLAIN)
    assert "Working" in shown
    assert shown.rindex("\x1b[2K") > shown.rindex("Working")  # its line is wiped


@pytest.mark.parametrize(
    ("code", "variables"),
    [(PLAIN, {"CI": "true"}), (PLAIN, {"TERM": "dumb"}), (THREAD, {})],
)
def test_ci_dumb_terminal_and_thread_show_nothing(
    code: str, variables: dict[str, str]
) -> None:
    assert seen(code, **variables) == ""


def test_display_of_a_node_goes_on() -> None:
    assert "Mine" in seen(BESIDE)


def test_file_shows_nothing_even_with_colours_forced() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from tracking.terminal.progress import progress\n{PLAIN}",
        ],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""
