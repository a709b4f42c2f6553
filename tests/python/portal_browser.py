"""A Chromium whose console errors, reports of the policy and dialogs are problems."""

import contextlib
import os
import shutil

from playwright.sync_api import sync_playwright

problems = []


@contextlib.contextmanager
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which(os.environ["BATCHAI_TEST_BROWSER"]), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def watched(page):
    """A page whose troubles are collected."""

    def console(message):
        if message.type == "error":
            problems.append(f"{page.url}: {message.text}")

    def dialog(shown):
        problems.append(f"{page.url}: a script of a user ran: {shown.message}")
        shown.dismiss()

    page.on("console", console)
    page.on("dialog", dialog)
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    return page


def no_problems(but=None):
    """Fails if there were any, except those with this text."""
    found = [it for it in problems if but is None or but not in it]
    assert not found, "\n".join(found)
