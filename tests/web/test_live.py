# SPDX-License-Identifier: Apache-2.0
"""Events in a real browser, by its own WebSocket: it offers to be told compressed, and understands what comes, packed or not."""
import pytest
from harness.manager import scale

CHANGES = 60

# Subscribes to all jobs and keeps what is told in window.told; calls back when it is in.
SUBSCRIBE = """
const [eio, done] = arguments;
window.told = [];
const ws = window.page = new WebSocket(`ws://${location.host}/socket.io/?EIO=${eio}&transport=websocket`);
ws.onerror = () => done("it failed");
ws.onclose = event => done(`closed: ${event.code}`);
ws.onmessage = event => {
  const text = event.data;
  if (text.startsWith("0") && eio == 4) ws.send("40");
  else if (text.startsWith("40")) ws.send('420["/subscription",{"op":"subscribe","type":"allJobs"}]');
  else if (text === "2") ws.send("3");
  else if (text.startsWith("430")) done(`in, ${ws.extensions}`);
  else if (text.startsWith('42["/jobs"')) window.told.push(JSON.parse(text.slice(2))[1]);
};
"""

WAIT = """
const [job, priority, done] = arguments;
const look = () => window.told.some(e => e.id === job && e.priority === priority) ? done(window.told) : setTimeout(look, 20);
look();
"""


@pytest.mark.parametrize("eio", [3, 4])
def test_a_page_is_told_of_changes(browser, site, eio):
    job = site.submit([], name="größer 😀 <&>\u2028", initial_status="paused")
    browser.get(f"{site.manager.url}/app/")
    browser.set_script_timeout(60 * scale())
    answer = browser.execute_async_script(SUBSCRIBE, eio)
    assert answer.startswith("in, ") and ("permessage-deflate" in answer) == (eio == 4), answer
    for i in range(CHANGES): # close behind each other: they go together, and packed
        site.api.ok("POST", f"/jobs/{job['id']}/setpriority", 204, json={"priority": 1 + i})
    told = browser.execute_async_script(WAIT, job["id"], CHANGES)
    assert [e["priority"] for e in told] == list(range(1, CHANGES + 1))
    assert {(e["id"], e["name"], e["status"]) for e in told} == {(job["id"], "größer 😀 <&>\u2028", "paused")}
    browser.execute_script("window.page.onclose = null; window.page.close()")
