"""Record a newcomer's first minute in a terminal: ``make recording``.

Types the commands of the landing page into a real shell, keeps what the terminal shows
as an asciinema cast, and renders it as an animated picture.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect

from tests.e2e.newcomer import environment
from tests.releases import Template

DOCS = Path(__file__).parent
CAST = DOCS / "images" / "first-minute.cast"
PICTURE = CAST.with_suffix(".svg")
STILL = PICTURE.with_stem(f"{CAST.stem}-still")

COLUMNS, ROWS = 88, 26
ADDRESS = "https://git.example.com/copier-kedro-mlflow.git"
COMMANDS = [
    f"uvx copier copy --defaults {ADDRESS} penguins",
    "cd penguins && uv sync",
    "uv run kedro run",
    "uv run kedro mlflow runs",
    "uv run kedro mlflow ui",
]
PROMPT = "\x1b[32m$\x1b[0m "
KEY = 0.045  # seconds between two keys
READ = 1.5  # seconds before the next command
LONGEST = 2.5  # seconds that a command takes in the picture, whatever it took
FRAME = 0.12  # seconds between two pictures
COLOURS = {  # Each has a contrast of 4.5 or more on the background, which is its own.
    "fg": "#e6e6e6",
    "bg": "#1e2127",
    "palette": ":".join(
        "#8b949e #ff7b72 #7ee787 #e3b341 #79c0ff #d2a8ff #76e3ea #e6e6e6".split() * 2
    ),
}


class Cast:
    """What a terminal has shown and when, in asciinema's second format."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str]] = []
        self._now = 0.0
        self._waited: list[tuple[float, str]] = []

    def write(self, text: str) -> None:
        """Note what the terminal shows now. ``pexpect`` calls this."""
        self._waited.append((time.monotonic(), text))

    def flush(self) -> None:
        """Nothing waits here."""

    def pause(self, seconds: float) -> None:
        self._now += seconds

    def take(self, longest: float) -> None:
        """Add what was noted since the last call, in no more than some seconds."""
        if not self._waited:
            return
        start, end = self._waited[0][0], self._waited[-1][0]
        scale = min(1.0, longest / max(end - start, 1e-6))
        for at, text in self._waited:
            now = self._now + (at - start) * scale
            if self.events and now - self.events[-1][0] < FRAME:
                now, before = self.events.pop()
                self.events.append((now, before + text))
            else:
                self.events.append((now, text))
        self._now += (end - start) * scale
        self._waited.clear()

    def save(self, path: Path) -> None:
        header = {"version": 2, "width": COLUMNS, "height": ROWS, "theme": COLOURS}
        lines = [header, *([round(at, 3), "o", text] for at, text in self.events)]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")


def record(folder: Path) -> Cast:
    """Type the commands into a shell, and return what its terminal has shown."""
    template = Template(folder / "template")
    template.release("v1.0.0")
    own = {
        "PS1": re.sub("(\x1b.*?m)", r"\\[\1\\]", PROMPT),  # bash counts the rest
        "TERM": "xterm-256color",
        "BROWSER": "true",  # a command that opens no page
        # The address in the picture is one for git alone.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{template.path}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        cwd=folder,
        env={**environment(), **own},
        encoding="utf-8",
        dimensions=(ROWS, COLUMNS),
        timeout=180,
    )
    shell.expect_exact(PROMPT)
    cast = Cast()
    cast.write(PROMPT)
    shell.logfile_read = cast
    for command in COMMANDS:
        cast.take(0)
        cast.pause(READ)
        for key in command:
            shell.send(key)
            shell.expect_exact(key)
            cast.take(0)
            cast.pause(KEY)
        cast.pause(0.3)
        shell.sendline()
        shell.expect(r"http://\S+\s" if command.endswith(" ui") else re.escape(PROMPT))
        cast.take(LONGEST)
    shell.logfile_read = None
    shell.sendintr()
    shell.expect_exact(PROMPT)
    shell.close()
    return cast


def render() -> None:
    program = Path(sys.executable).with_name("termtosvg-ng")
    words = ["--template", "window_frame", "--theme", "auto", "--loop-delay", "6000"]
    subprocess.run([program, "render", CAST, PICTURE, *words], check=True)
    STILL.write_text(last_frame(PICTURE.read_text("utf-8")), "utf-8")


def last_frame(picture: str) -> str:
    """Return the last frame of an animated picture, as one that does not move."""
    before, view, frames = picture.partition('<g id="screen_view">')
    last = frames[frames.rindex("<g>") :]
    place = re.findall(r"translateY\(.*?\)", before)[-1]
    before = re.sub(r"@keyframes roll.*?]]>", "]]>", before, flags=re.S)
    used = re.findall(r'href="#(\w+)"', last)
    for name in set(re.findall(r'<g id="(g\d+)">', before)) - set(used):
        before = re.sub(rf'<g id="{name}">.*?</g>', "", before, flags=re.S)
    return before + view.replace("<g", f'<g style="transform: {place}"') + last


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder)).save(CAST)
    render()


if __name__ == "__main__":
    main()
