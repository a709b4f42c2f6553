"""Signs in to the portal of a stack at its issuer, and follows the experiment of the demo, in which a node is interrupted."""

import os
import re

from playwright.sync_api import expect
from portal_browser import chromium, no_problems, watched

WORKSPACE = os.environ["BATCHAI_TEST_WORKSPACE"]
EXPERIMENT = f"{WORKSPACE}/experiments/digits"
LONG_JOB = os.environ["BATCHAI_TEST_JOB"]
# Milliseconds: the whole experiment takes minutes.
PATIENCE = 360_000


def sign_in(page):
    """By way of the issuer, back to the page that was asked for."""
    assert page.goto(WORKSPACE).status == 401
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_url(WORKSPACE)
    expect(page.locator("h1")).to_contain_text("w")
    cookie, = page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
    assert cookie["path"] == "/portal", cookie


def upload(page):
    """To the function of files, which is another origin."""
    page.goto(f"{WORKSPACE}/fileServers/nfs")
    page.locator("input[type=file]").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some data" * 1000}
    )
    expect(page.locator("table").get_by_text("notes.txt", exact=True)).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        page.locator("table").get_by_text("notes.txt", exact=True).click()
    assert download.value.path().read_bytes() == b"some data" * 1000


def follow(page):
    """One page, from the first attempt over the interruption to the end of the second one."""
    page.goto(f"{EXPERIMENT}/jobs/{LONG_JOB}")
    expect(page.locator("#attempts li")).to_have_count(1, timeout=PATIENCE)
    expect(page.locator(".log pre")).to_contain_text("epoch", timeout=PATIENCE)
    expect(page.locator("#attempts li")).to_have_count(2, timeout=PATIENCE)
    expect(page.locator("#attempts li").first).to_contain_text("interrupted")
    expect(page.locator(".log pre")).to_contain_text("resum", timeout=PATIENCE)
    expect(page.locator("#live .state").first).to_contain_text("succeeded", timeout=PATIENCE)


def compare(page):
    page.goto(EXPERIMENT)
    boxes = page.locator("tbody input[type=checkbox]")
    expect(boxes.first).to_be_visible()
    for number in range(3):
        boxes.nth(number).check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(re.compile(r"/compare\?"))
    expect(page.locator(".chart canvas").first).to_be_visible(timeout=20_000)


def main():
    with chromium() as browser:
        page = watched(browser.new_page())
        sign_in(page)
        upload(page)
        follow(page)
        compare(page)
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("h1")).to_contain_text("Signed out")
        # The browser reports pages that need a session as errors.
        no_problems(but="401")


main()
