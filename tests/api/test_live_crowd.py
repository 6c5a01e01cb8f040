# SPDX-License-Identifier: Apache-2.0
"""Many pages that come, stay for a moment and go while events flow: what deadlocks the reference for good. Nothing hangs, and
nobody who stays misses anything. Under ASan nothing leaks; under TSan nothing races."""
import threading
import time

from harness.http import Background
from harness.manager import scale
from harness.sse import Sse
from harness.websocket import Closed, SocketIo

CROWD = 20
STAY_S = 0.1
LAST_S = 3


def visit(farm, until, number):
    """A page that stays for a moment and comes back. Every third one leaves without a word, every fifth is a stream."""
    visits = 0
    while time.monotonic() < until:
        if number % 5 == 0:
            client = Sse(farm.port)
        else:
            client = SocketIo(farm.port, 3 + number % 2)
            client.subscribe("allJobs").subscribe("allWorkers")
        time.sleep(STAY_S)
        if number % 5 and number % 3:
            client.send("41")
        client.close()
        visits += 1
    return visits


def work(farm, lane, until):
    worker = farm.worker(types=[lane])
    done = 0
    while time.monotonic() < until:
        job = farm.submit([{"type": lane}] * 5)
        while (task := worker.get_task()) is not None:
            worker.update(task["uuid"], activity="x", log="y\n" * 50, steps_completed=1)
            worker.complete(task["uuid"])
            done += 1
        farm.set_job_status(job["id"], "requeueing")
        farm.put_away(job["id"])
    worker.sign_off()
    return done


def test_pages_come_and_go_while_events_flow(make_farm):
    farm = make_farm(live=True, yaml={"plugins": {"broadcaster": {"settings": {"steps_interval": "0s"}}}}) # to hear of each
    events = farm.events()
    stays = SocketIo(farm.port).subscribe("allJobs")
    until = time.monotonic() + LAST_S * min(scale(), 4)
    visits = [Background(visit, farm, until, i) for i in range(CROWD)]
    works = [Background(work, farm, f"lane{i}", until) for i in range(2)]
    heard, stop = [], threading.Event()

    def listen():
        try:
            while not stop.is_set():
                text = stays.read()
                heard.append(text)
                if "the end" in text:
                    return
        except Closed as closed:
            heard.append(closed)

    listening = Background(listen)
    assert sum(v.result(120) for v in visits) >= CROWD
    assert all(w.result(120) > 0 for w in works)
    farm.submit([], name="the end", initial_status="paused")
    listening.result(60)
    stop.set()
    recorded = [e["payload"] for e in events.take("job")]
    assert len(heard) == len(recorded), (len(heard), len(recorded), heard[-1])
    stays.close()


def test_idle_sockets_cost_nobody_anything(make_farm):
    farm = make_farm(live=True)
    crowd = [SocketIo(farm.port, 3 + i % 2) for i in range(300)]
    with SocketIo(farm.port) as page:
        page.subscribe("allJobs")
        job = farm.submit([], initial_status="paused")
        assert [p["id"] for _, p in page.sync()] == [job["id"]]
    for client in crowd:
        client.close()
