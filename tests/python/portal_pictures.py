"""Writes the pictures of the portal that the documents show."""

import os
from pathlib import Path

from portal_browser import chromium

WORKSPACE = os.environ["BATCHAI_TEST_WORKSPACE"]
EXPERIMENT = f"{WORKSPACE}/experiments/e"
TARGET = Path(os.environ["BATCHAI_TEST_PICTURES"])


def main():
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 640}, color_scheme="light")
        page.goto(os.environ["BATCHAI_TEST_LINK"])
        page.wait_for_url("**/portal/home")
        page.goto(EXPERIMENT)
        page.wait_for_timeout(500)
        page.screenshot(path=TARGET / "portal-experiment.png")
        boxes = page.locator("input[type=checkbox]")
        for number in range(boxes.count()):
            boxes.nth(number).check()
        page.get_by_role("button", name="Compare").click()
        page.wait_for_timeout(1000)
        page.screenshot(path=TARGET / "portal-compare.png")
        page.goto(f"{WORKSPACE}/clusters/c")
        page.wait_for_timeout(500)
        page.set_viewport_size({"width": 1100, "height": 900})
        page.screenshot(path=TARGET / "portal-cluster.png")
        narrow = browser.new_context(
            storage_state=page.context.storage_state(),
            viewport={"width": 420, "height": 900},
            color_scheme="dark",
        ).new_page()
        narrow.goto(EXPERIMENT)
        narrow.locator("td.name a").first.click()
        narrow.wait_for_timeout(1000)
        narrow.screenshot(path=TARGET / "portal-job.png")


main()
