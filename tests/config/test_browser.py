"""What a browser makes of the pages: everything of ours works under the policy, and nothing of anybody else's runs."""

import pytest

from tests.support.browser import PROBE, browser

__all__ = ["browser"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_script_that_got_into_a_page_is_stopped_and_told(browser):
    browser.open("/")

    browser.page.evaluate(
        f"const s = document.createElement('script'); s.textContent = 'window.{PROBE}=1'; document.body.append(s);"
        f"document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.{PROBE}=2\">')",
    )
    browser.page.wait_for_function("window.__stopped.length >= 2")

    assert not browser.ran()
    assert {line.split()[0] for line in browser.stopped()} == {"script-src-elem", "script-src-attr"}


def test_a_script_of_a_page_without_a_policy_would_run(browser):
    browser.page.route("**/bare", lambda route: route.fulfill(
        content_type="text/html", body=f"<p>bare</p><script>window.{PROBE}=1</script>",
    ))

    browser.page.goto(f"{browser.base}/bare")

    assert browser.ran()


@pytest.mark.parametrize("path", ["/", "/api/v1/docs", "/admin/login/", "/nowhere"])
def test_the_open_pages_need_nothing_that_their_policy_stops(browser, path):
    browser.page.goto(browser.base + path, wait_until="networkidle")

    assert (browser.stopped(), browser.errors, browser.ran()) == ([], [], False)


def test_the_reference_of_the_api_shows_each_route_and_can_be_tried(browser):
    browser.open("/api/v1/docs")
    browser.page.wait_for_selector(".opblock")
    shown = {text.strip().replace("\u200b", "") for text in browser.page.locator(".opblock-summary-path").all_inner_texts()}

    stats = browser.page.locator("#operations-stats-stats")
    stats.locator(".opblock-summary-control").click()
    stats.get_by_role("button", name="Try it out").click()
    stats.get_by_role("button", name="Execute").click()
    browser.page.wait_for_selector("#operations-stats-stats .live-responses-table tbody .response-col_status")

    assert {"/api/v1/jobs", "/api/v1/stats", "/api/v1/audit"} <= shown
    assert "401" in stats.locator(".live-responses-table tbody .response-col_status").first.inner_text()
    assert (browser.stopped(), browser.errors) == ([], [])


def test_on_a_phone_no_operation_of_the_reference_is_wider_than_the_page(browser):
    browser.page.set_viewport_size({"width": 390, "height": 844})
    browser.open("/api/v1/docs")
    browser.page.wait_for_selector(".opblock")
    operations = browser.page.locator(".opblock")

    widths = {}
    for number in range(operations.count()):
        operation = operations.nth(number)
        operation.locator(".opblock-summary-control").click()
        operation.locator(".responses-table").first.wait_for()
        widths[operation.get_attribute("id")] = browser.page.evaluate("document.documentElement.scrollWidth")
        operation.locator(".opblock-summary-control").click()
        operation.locator(".opblock-body").wait_for(state="detached")

    assert (True, {}) == (len(widths) > 20, {name: width for name, width in widths.items() if width > 390})
