# SPDX-License-Identifier: Apache-2.0
"""The page that the manager shows until there is a web interface, and the API documentation, in a real browser."""
import json

import pytest
from harness.manager import program, scale
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


def wait(browser, condition):
    return WebDriverWait(browser, 60 * scale()).until(condition)


@pytest.fixture
def docs(browser, site):
    """The API documentation with all its operations shown."""
    assert (program().parent.parent / "plugins" / "webapp" / "swagger-ui").is_dir(), \
        "Swagger UI is missing; run.sh and test.sh fetch it"
    browser.get(f"{site.manager.url}/api/v3/swagger-ui/")
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".opblock"))
    return browser


def test_root_leads_to_a_page_that_leads_to_the_documentation(browser, site):
    browser.get(site.manager.url)
    assert browser.current_url == f"{site.manager.url}/app/"
    assert browser.title == "Flamenco Manager"
    assert browser.find_element(By.TAG_NAME, "h1").is_displayed()
    browser.find_element(By.LINK_TEXT, "API documentation").click()
    wait(browser, lambda b: b.current_url.endswith("/api/v3/swagger-ui/"))
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".opblock"))


def test_link_of_the_demo_opens_something(browser, site):
    job = site.submit(1)
    browser.get(f"{site.manager.url}/app/#/jobs/{job['id']}")
    assert browser.title == "Flamenco Manager"
    browser.get(f"{site.manager.url}/app/jobs/{job['id']}")
    assert browser.find_element(By.TAG_NAME, "h1").text == "Flamenco Manager"


def test_every_operation_is_listed(docs, site):
    document = site.api.ok("GET", "/openapi3.json")
    wanted = sorted((method.upper(), path) for path, item in document["paths"].items() for method in item
                    if method in ("get", "put", "post", "delete"))
    found = sorted((block.find_element(By.CSS_SELECTOR, ".opblock-summary-method").text,
                    block.find_element(By.CSS_SELECTOR, ".opblock-summary-path").get_attribute("data-path"))
                   for block in docs.find_elements(By.CSS_SELECTOR, ".opblock"))
    assert found == wanted


def test_version_can_be_tried_out(docs, site):
    block = docs.find_element(By.CSS_SELECTOR, "[id$='-getVersion']")
    block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    wait(docs, lambda b: block.find_elements(By.CSS_SELECTOR, ".try-out__btn"))[0].click()
    wait(docs, lambda b: block.find_elements(By.CSS_SELECTOR, ".execute"))[0].click()
    live = wait(docs, lambda b: block.find_elements(By.CSS_SELECTOR, ".live-responses-table .response"))[0]
    assert live.find_element(By.CSS_SELECTOR, ".response-col_status").text.startswith("200")
    shown = json.loads(live.find_element(By.CSS_SELECTOR, ".highlight-code code, .highlight-code pre").text)
    assert shown == site.api.ok("GET", "/version")
