# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests in a real browser: Debian's Chromium without a window, driven by Selenium. The harness is that of the
black box tests, tests/api."""
import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
API = HERE.parent / "api"
sys.path[:0] = [str(API)]

_spec = importlib.util.spec_from_file_location("flamenco_api_conftest", API / "conftest.py")
_api = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_api)
pytest_report_header = _api.pytest_report_header
pytest_runtest_makereport = _api.pytest_runtest_makereport
pytest_sessionstart = _api.pytest_sessionstart

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A manager with the webapp plugin, and the broadcaster of its events, as they are shipped."""
    farm = _api.start_farm(tmp_path_factory.mktemp("site"), live=True, yaml={"plugins": {"http_routes": [{"file": "webapp"}]}})
    yield farm
    farm.manager.stop()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1200,1600",
                     "--no-first-run", "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
                     f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(60 * _api.scale())
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, site):
    """The browser on an empty page; afterwards nothing may have been complained of, nor loaded from anywhere else."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    yield chromium
    complaints = [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not complaints, complaints
    loaded = chromium.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert not [url for url in loaded if not url.startswith((site.manager.url, "data:", "blob:"))], loaded
