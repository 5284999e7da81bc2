"""Take the pictures of the tutorial: ``make screenshots``.

Follows the tutorial as its test does, with Chromium at the pages that it opens.
"""

import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, sync_playwright

from tests.e2e.reader import Reader

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-background-networking"]
WITHOUT_ASSISTANT = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""
MENU, CONTENT = 200, 880  # widths in pixels of MLflow's menu and what stands beside it
WIDE = 1300  # with the column that says about a run
DRAWER = 140  # where the drawer of a trace begins
RUN = re.compile(r"^[a-z]+-[a-z]+-\d+$")  # a random name


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Reader("docs/tutorial.md", Path(folder)) as reader,
        sync_playwright() as playwright,
    ):
        assert list(reader.activate())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": MENU + CONTENT, "height": 1900})
        page.add_init_script(WITHOUT_ASSISTANT)
        runs = f"{reader.address}/#/experiments/1/runs"

        page.goto(runs)
        page.get_by_text("Model training").click()
        page.get_by_role("link", name=RUN).last.click()
        take(page, "run", page.get_by_text("test_size"))
        page.get_by_text("Show more").first.click()
        page.set_viewport_size({"width": MENU + WIDE, "height": 1900})
        run = page.url
        take(page, "story", page.get_by_text("f1_gentoo"), WIDE)
        model = page.get_by_role("link", name="classifier", exact=True).first
        page.goto(f"{reader.address}/{model.get_attribute('href')}")
        take(page, "model", page.get_by_text("Dataset", exact=True), WIDE, 200)
        page.goto(f"{run}/traces")
        page.get_by_text(re.compile("^tr-")).first.click()
        page.get_by_text("evaluate").last.click()
        take(page, "timeline", page.get_by_text("f1_gentoo"), WIDE, 60, DRAWER)
        page.set_viewport_size({"width": MENU + CONTENT, "height": 1900})

        page.goto(runs)
        page.get_by_label("Select all runs").click()
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("Visualizations").click()
        take(page, "compare", page.get_by_text("mean_accuracy"))

        page.goto(runs)
        page.get_by_role("link", name=RUN).first.click()
        page.get_by_text("Artifacts", exact=True).click()
        page.get_by_text("fold_scores.csv").click()
        take(page, "artifacts", page.get_by_text("0.9019"))


def take(
    page: Page,
    name: str,
    last: Locator,
    width: int = CONTENT,
    below: int = 24,
    left: int = MENU,
) -> None:
    """Take what stands beside the menu, down to an element, in few colours."""
    last.last.wait_for()
    page.wait_for_timeout(2000)  # until nothing moves
    end = last.last.bounding_box()
    assert end
    height = end["y"] + end["height"] + below
    clip: FloatRect = {"x": left, "y": 10, "width": width - 16, "height": height - 10}
    image = Image.open(io.BytesIO(page.screenshot(clip=clip)))
    image.convert("RGB").quantize(128).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
