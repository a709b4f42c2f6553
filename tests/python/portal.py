"""Looks at every page of the portal in Chromium, as an owner and as a reader."""

import os
import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from portal_browser import chromium, no_problems, problems, watched

WORKSPACE = os.environ["BATCHAI_TEST_WORKSPACE"]
JOBS = f"{WORKSPACE}/experiments/e/jobs"
PAGES = {
    "Workspaces": re.sub(r"/workspaces/.*", "/home", WORKSPACE),
    "w": WORKSPACE,
    "Queue": f"{WORKSPACE}/queue",
    "c": f"{WORKSPACE}/clusters/c",
    "Experiments": f"{WORKSPACE}/experiments",
    "e": f"{WORKSPACE}/experiments/e",
    "New job": f"{WORKSPACE}/experiments/e/new-job",
    "hostile": f"{JOBS}/hostile",
    "failing": f"{JOBS}/failing",
    "slow": f"{JOBS}/slow",
    "waiting": f"{JOBS}/waiting",
    "Compare": f"{WORKSPACE}/experiments/e/compare?job=hostile&job=failing",
    "File servers": f"{WORKSPACE}/fileServers",
    "nfs": f"{WORKSPACE}/fileServers/nfs",
    "Access": f"{WORKSPACE}/access",
    "Usage": f"{WORKSPACE}/usage",
}
WIDTHS = [360, 800, 1400]
OPEN_FORMS = "document.querySelectorAll('details').forEach((it) => it.open = true)"


def sign_in(browser, link, **options):
    context = browser.new_context(**options)
    page = watched(context.new_page())
    page.goto(os.environ[link])
    page.wait_for_url("**/portal/home")
    assert "code=" not in page.url
    return page


def check_every_page(page):
    for title, url in PAGES.items():
        response = page.goto(url)
        assert response.status == 200, f"{url}: {response.status}"
        expect(page.locator("h1")).to_contain_text(title)
        page.wait_for_timeout(300)
        page.evaluate(OPEN_FORMS)
        found = Axe().run(page)
        for violation in found.response["violations"]:
            nodes = [node["html"][:200] for node in violation["nodes"][:3]]
            problems.append(f"{url}: {violation['id']}: {violation['help']}: {nodes}")


def check_widths(page):
    for title, url in PAGES.items():
        page.goto(url)
        page.evaluate(OPEN_FORMS)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if beyond > 0:
                problems.append(f"{title} is {beyond} px wider than a window of {width} px")


def check_reader(page):
    """No button that the service would refuse."""
    for title, url in PAGES.items():
        if title == "New job":
            continue
        response = page.goto(url)
        assert response.status == 200, f"{url}: {response.status}"
        forms = page.locator("main form[method=post]").count()
        if forms:
            problems.append(f"{title} shows a reader {forms} forms")


def follow(page):
    """A job is terminated on its page, and the next one starts and ends on an open one."""
    page.goto(f"{WORKSPACE}/queue")
    expect(page.get_by_role("row", name="waiting")).to_contain_text("at the latest")
    page.goto(f"{JOBS}/waiting")
    expect(page.locator("#live .state").first).to_contain_text("queued")
    expect(page.locator("#live")).to_contain_text("at the latest")
    other = watched(page.context.new_page())
    other.goto(f"{JOBS}/slow")
    other.locator("summary", has_text="Terminate").click()
    other.locator("details[open] button", has_text="Terminate").click()
    other.close()
    expect(page.locator("#live .state").first).to_contain_text("succeeded", timeout=60_000)


def scale(page):
    page.goto(f"{WORKSPACE}/clusters/c")
    page.get_by_text("Scale…").click()
    page.get_by_label("Always").fill("1")
    page.get_by_role("button", name="Keep this number").click()
    page.wait_for_url("**/clusters/c")
    page.goto(WORKSPACE)
    expect(page.get_by_text("manual, 1")).to_be_visible()


def create(page):
    """Each form leads to the page of what it created."""
    page.goto(f"{WORKSPACE}/fileServers")
    page.get_by_text("Create a file server…").click()
    page.get_by_label("Name").fill("made")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/fileServers/made")
    page.goto(WORKSPACE)
    page.get_by_text("Create a cluster…").click()
    page.get_by_label("Name").fill("made")
    page.get_by_label("Maximum number of nodes").fill("1")
    page.get_by_label("File server").select_option("made")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/clusters/made")
    page.goto(f"{WORKSPACE}/experiments")
    page.get_by_text("Create an experiment…").click()
    page.get_by_label("Name").fill("made")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/experiments/made")
    page.get_by_role("link", name="New job…").click()
    page.get_by_label("Name").fill("made")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/experiments/made/jobs/made")
    page.goto(f"{WORKSPACE}/clusters/made")
    page.locator("summary", has_text="Delete").click()
    page.locator("details[open] button", has_text="Delete").click()
    page.wait_for_url(WORKSPACE)


def compare(page):
    """Curves of the runs over one another."""
    page.goto(f"{WORKSPACE}/experiments/e")
    for name in ["hostile", "failing"]:
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?*")
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("loss")


def press(page, opened, button):
    """Opens the form behind `opened`, and presses its button."""
    page.locator("summary", has_text=opened).click()
    page.locator("details[open] button", has_text=button).first.click()


def manage_access(page):
    """A token is made, gets a role, and is revoked with it."""
    page.goto(f"{WORKSPACE}/access")
    page.locator("summary", has_text="Create a token").click()
    page.locator("details[open]").get_by_label("Name").fill("tom")
    page.locator("details[open] button", has_text="Create").first.click()
    expect(page.locator("main code").first).to_contain_text("bai_")
    page.goto(f"{WORKSPACE}/access")
    page.locator("summary", has_text="Assign a role").click()
    page.locator("details[open]").get_by_label("To", exact=True).fill("tom")
    page.locator("details[open] button", has_text="Assign").first.click()
    roles = page.locator("section", has=page.locator("#roles"))
    expect(roles.locator("tr", has_text="tom")).to_contain_text("contributor")
    page.locator("tr", has_text="tom").last.locator("summary", has_text="Revoke").click()
    page.locator("details[open] button", has_text="Revoke").first.click()
    expect(page.locator("tr", has_text="tom")).to_have_count(0)


def delete(page):
    """A job that has ended, and a file."""
    page.goto(f"{JOBS}/hostile")
    press(page, "Delete", "Delete")
    page.wait_for_url("**/experiments/e")
    expect(page.get_by_role("link", name="hostile", exact=True)).to_have_count(0)
    page.goto(f"{WORKSPACE}/fileServers/nfs")
    row = page.locator("tr", has_text="data.txt")
    row.locator("summary").click()
    row.locator("details[open] button", has_text="Delete").click()
    expect(page.locator("tr", has_text="data.txt")).to_have_count(0)


def read_log(page):
    page.goto(f"{JOBS}/hostile")
    expect(page.locator(".log pre")).to_contain_text("<img src=x onerror=alert(1)>", timeout=20_000)
    assert page.locator(".log img").count() == 0


def upload(page):
    page.goto(f"{WORKSPACE}/fileServers/nfs")
    name = "<b>data.txt"
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": b"some data"}
    )
    # Beside it, the list shows what is being uploaded.
    expect(page.locator("table").get_by_text(name, exact=True)).to_be_visible(timeout=20_000)
    assert page.locator("main b", has_text="data").count() == 0


def sign_out(page):
    page.goto(WORKSPACE)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_contain_text("Signed out")


def main():
    with chromium() as browser:
        # First, as links work for a minute.
        reader = sign_in(browser, "BATCHAI_TEST_READER_LINK")
        light = sign_in(browser, "BATCHAI_TEST_LINK", color_scheme="light")
        check_every_page(light)
        check_widths(light)
        state = light.context.storage_state()
        dark = watched(browser.new_context(storage_state=state, color_scheme="dark").new_page())
        check_every_page(dark)
        check_reader(reader)
        no_problems()
        read_log(light)
        upload(light)
        compare(light)
        follow(light)
        scale(light)
        create(light)
        manage_access(light)
        delete(light)
        no_problems()
        sign_out(light)


main()
