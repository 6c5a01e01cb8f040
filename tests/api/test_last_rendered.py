# SPDX-License-Identifier: Apache-2.0
"""Rendered images and their thumbnails (api-behaviour 7.3, 7.6; state-and-scheduling 14)."""
import re
import subprocess
from pathlib import Path

import pytest
from harness import images
from harness.check import UNKNOWN, assert_empty, assert_error, wait_until
from harness.manager import program, sanitizer, scale
from harness.openapi import assert_schema

PLUGIN = {"plugins": {"last_rendered": {"file": "last-rendered"}}}
NAMES = ["last-rendered.jpg", "last-rendered-small.jpg", "last-rendered-tiny.jpg"]
LIMIT = 26214400


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    from harness.farm import GRAPH, Farm
    from harness.manager import Manager
    manager = Manager(tmp_path_factory.mktemp("images") / "manager", yaml=PLUGIN, scripts={"graph.js": GRAPH}).start()
    yield Farm(manager)
    manager.stop()


class Scene:
    """A job with an active task, and the Worker that renders it."""

    def __init__(self, farm, lane):
        self.farm = farm
        self.job = farm.submit([{"type": lane}])["id"]
        self.worker = farm.worker(types=[lane])
        self.task = self.worker.get_task()["uuid"]

    @property
    def path(self):
        return f"/worker/task/{self.task}/output-produced"

    @property
    def base(self):
        return f"/job-files/job-{self.job[:4]}/{self.job}"

    @property
    def folder(self):
        return self.farm.manager.storage / f"job-{self.job[:4]}" / self.job

    def send(self, data, mime="image/png", **kw):
        headers = {"Content-Type": mime} if mime else {}
        return self.worker.api.clone().post(self.path, data=data, headers=headers, **kw)

    def info(self):
        return self.farm.api.ok("GET", f"/jobs/{self.job}/last-rendered")

    def file(self, name):
        reply = self.farm.api.get(f"/{self.base}/{name}?1700000000000")
        assert reply.status_code == 200 and reply.headers["Content-Type"] == "image/jpeg"
        return reply.content

    def wait(self, events):
        """Waits for the two events of an image of this job; gives all events up to them."""
        passed = events.wait(lambda e: e["topic"] == "/last-rendered" and e["payload"]["job_id"] == self.job)
        return [e for e in passed if e["kind"] == "last_rendered"]

    def show(self, data, events):
        assert_empty(self.send(data), 202)
        return self.wait(events)


_lanes = iter(range(10**6))


@pytest.fixture
def scene(farm):
    return Scene(farm, f"images-{next(_lanes)}")


def thumbnail(scene):
    return {"base": scene.base, "suffixes": NAMES}


# ---- From the image to the page ---------------------------------------------------------------------------------------------


def test_an_image_becomes_three_files_two_events_and_two_infos(farm, scene):
    assert_empty(farm.api.get(f"/jobs/{scene.job}/last-rendered"))
    events = farm.events()
    told = scene.show(images.plain(2048, 858), events)
    assert [(e["topic"], e["name"]) for e in told] == [(f"/jobs/{scene.job}/last-rendered", "/last-rendered"),
                                                       ("/last-rendered", "/last-rendered")]
    for event in told:
        assert event["payload"] == {"job_id": scene.job, "thumbnail": thumbnail(scene)}
        assert_schema("EventLastRenderedUpdate", event["payload"])
    assert scene.info() == thumbnail(scene)
    assert_schema("JobLastRenderedImageInfo", scene.info())
    assert farm.api.ok("GET", "/jobs/last-rendered") == thumbnail(scene)
    assert [images.jpeg_size(scene.file(name)) for name in NAMES] == [(1920, 804), (600, 251), (200, 83)]
    assert sorted(p.name for p in scene.folder.iterdir() if not p.name.startswith("task-")) == sorted(NAMES)


def test_the_files_are_served_like_others(farm, scene):
    scene.show(images.plain(64, 64), farm.events())
    path = f"/{scene.base}/{NAMES[0]}"
    reply = farm.api.get(path)
    assert farm.api.get(path, headers={"Range": "bytes=0-1"}).content == b"\xff\xd8"
    assert farm.api.get(path, headers={"If-Modified-Since": reply.headers["Last-Modified"]}).status_code == 304


def test_the_next_image_replaces_it(farm, scene):
    events = farm.events()
    scene.show(images.plain(300, 100), events)
    scene.show(images.plain(30, 10), events)
    assert [images.jpeg_size(scene.file(name)) for name in NAMES] == [(30, 10)] * 3


def test_jpeg_whatever_it_is_called(farm, scene):
    """The decoder goes by the content, not by the declared type."""
    events = farm.events()
    scene.show(images.plain(320, 200), events)
    jpeg = scene.file(NAMES[0])
    for mime in ("image/jpeg", "image/png"):
        scene.show(images.plain(8, 8), events)
        assert_empty(scene.send(jpeg, mime), 202)
        scene.wait(events)
        assert images.jpeg_size(scene.file(NAMES[0])) == (320, 200)


def test_the_last_job_of_all_and_each_jobs_own(farm):
    first, second = Scene(farm, f"images-{next(_lanes)}"), Scene(farm, f"images-{next(_lanes)}")
    events = farm.events()
    first.show(images.plain(10, 10), events)
    second.show(images.plain(10, 10), events)
    assert farm.api.ok("GET", "/jobs/last-rendered") == thumbnail(second)
    assert first.info() == thumbnail(first)
    first.show(images.plain(10, 10), events)
    assert farm.api.ok("GET", "/jobs/last-rendered") == thumbnail(first)


def test_it_is_kept_over_a_restart(make_farm, lane):
    farm = make_farm(yaml=PLUGIN)
    assert_empty(farm.api.get("/jobs/last-rendered"))
    scene = Scene(farm, lane)
    scene.show(images.plain(10, 10), farm.events())
    farm.manager.restart()
    assert farm.api.ok("GET", "/jobs/last-rendered") == scene.info() == thumbnail(scene)


def test_204_when_the_files_are_gone(farm, scene):
    scene.show(images.plain(10, 10), farm.events())
    (scene.folder / NAMES[2]).unlink()
    assert_empty(farm.api.get(f"/jobs/{scene.job}/last-rendered"))
    assert_empty(farm.api.get("/jobs/last-rendered"))


def test_another_workers_task_and_one_that_is_over(farm, scene):
    """It is not checked whose task it is, or in which status."""
    scene.worker.complete(scene.task)
    other = farm.worker(types=["nothing"])
    events = farm.events()
    assert_empty(other.api.post(scene.path, data=images.plain(10, 10), headers={"Content-Type": "image/png"}), 202)
    scene.wait(events)


# ---- Refusals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data, mime", [
    (b"", "image/png"), (None, "image/png"), (b"x", None), (b"x", "image/openexr"), (b"x", "image/jpg"),
    (b"x", "Image/PNG"), (b"x", "application/json"), (b"x", "text/plain"),
])
def test_validation(scene, data, mime):
    assert_error(scene.send(data, mime), 400)


@pytest.mark.parametrize("task, status", [(UNKNOWN, 404), ("not-a-uuid", 400), ("0b7c", 400)])
def test_unknown_task(scene, task, status):
    reply = scene.worker.api.post(f"/worker/task/{task}/output-produced", data=b"x", headers={"Content-Type": "image/png"})
    assert_error(reply, status)


def test_credentials_come_first(farm, scene):
    assert_error(farm.api.post(scene.path, data=b"x", headers={"Content-Type": "text/plain"}), 403)
    assert_error(farm.api.post(scene.path, data=b"x" * (LIMIT + 1), headers={"Content-Type": "image/png"}), 403)


def test_size(scene):
    message = assert_error(scene.send(b"x" * (LIMIT + 1)), 413)
    assert str(LIMIT) in message
    assert_empty(scene.send(b"x" * LIMIT), 202)


def test_chunked_body_is_measured(farm, scene):
    events = farm.events()

    def parts():
        data = images.plain(40, 20)
        for at in range(0, len(data), 50):
            yield data[at:at + 50]

    assert_empty(scene.send(parts()), 202)
    scene.wait(events)
    assert images.jpeg_size(scene.file(NAMES[0])) == (40, 20)


@pytest.mark.parametrize("path, status", [("/jobs/no-uuid/last-rendered", 400), (f"/jobs/{UNKNOWN}/last-rendered", 204)])
def test_info_of_other_jobs(farm, path, status):
    reply = farm.api.get(path)
    assert_error(reply, status) if status == 400 else assert_empty(reply)


def test_upper_case_job_id(farm, scene):
    scene.show(images.plain(10, 10), farm.events())
    assert farm.api.ok("GET", f"/jobs/{scene.job.upper()}/last-rendered") == thumbnail(scene)


# ---- Taken and dropped ------------------------------------------------------------------------------------------------------

SMALL = images.plain(16, 16)
DROPPED = {
    "text": b"this is no picture",
    "gif": b"GIF89a" + bytes(100),
    "signature only": images.SIGNATURE,
    "cut in the middle": SMALL[:len(SMALL) // 2],
    "cut at the end": SMALL[:-1],
    "trailing chunk cut": SMALL[:-12],
    "wrong checksum of the head": SMALL[:29] + b"\0\0\0\0" + SMALL[33:],
    "wrong checksum of the data": images.SIGNATURE + images.head(1, 1) + images.chunk(b"IDAT", b"x\x9cc\0\0\0\4\0\1", crc=1),
    "no pixels": images.SIGNATURE + images.head(0, 0) + images.chunk(b"IDAT", b"x") + images.chunk(b"IEND"),
    "65535x65535": images.SIGNATURE + images.head(65535, 65535) + images.chunk(b"IDAT", b"x\x9c") + images.chunk(b"IEND"),
    "2^31 wide": images.SIGNATURE + images.head(2**31 - 1, 1) + images.chunk(b"IDAT", b"x\x9c") + images.chunk(b"IEND"),
    "65535x65535 interlaced": images.SIGNATURE + images.head(65535, 65535, 16, 6, 1) + images.chunk(b"IDAT", b"x\x9c"),
    "chunk of 2 GiB": images.SIGNATURE + images.head(9, 9) + images.chunk(b"zTXt", b"a\0\0", length=2**31 - 1),
    "million empty chunks": images.SIGNATURE + images.head(9, 9) + images.chunk(b"tEXt") * 1000000,
    "compressed text of 1 GB": images.SIGNATURE + images.head(9, 9)
    + images.chunk(b"zTXt", b"a\0\0" + b"x\xda" + b"\0" * 1000000) + images.chunk(b"IEND"),
    "no data": images.SIGNATURE + images.head(100, 100) + images.chunk(b"IEND"),
    "too little data": images.SIGNATURE + images.head(6000, 6000) + images.chunk(b"IDAT", SMALL[41:-16]) + images.chunk(b"IEND"),
}


@pytest.mark.parametrize("data", DROPPED.values(), ids=DROPPED.keys())
def test_a_bad_image_is_taken_dropped_and_harms_nobody(farm, scene, data):
    events, position = farm.events(), farm.manager.log_position()
    assert_empty(scene.send(data), 202)
    farm.manager.wait_log(f"an image of job {scene.job} is dropped", position)
    assert_empty(farm.api.get(f"/jobs/{scene.job}/last-rendered"))
    # A good one afterwards is the first that is told of.
    assert len(scene.show(SMALL, events)) == 2


def test_a_damaged_jpeg_is_dropped(farm, scene):
    events = farm.events()
    scene.show(images.plain(64, 48), events)
    jpeg = scene.file(NAMES[0])
    for bad in (jpeg[:-2], jpeg[:len(jpeg) // 2], images.jpeg_lying(jpeg, 65535, 65535), images.jpeg_lying(jpeg, 4000, 4000),
                images.jpeg_lying(jpeg, 0, 48)):
        position = farm.manager.log_position()
        assert_empty(scene.send(bad, "image/jpeg"), 202)
        farm.manager.wait_log(f"an image of job {scene.job} is dropped: JPEG", position)
    assert images.jpeg_size(scene.file(NAMES[0])) == (64, 48)
    assert len(scene.show(SMALL, events)) == 2


def test_a_type_with_parameters_is_taken_and_dropped(farm, scene):
    events = farm.events()
    assert_empty(scene.send(images.plain(99, 99), "image/png;q=1"), 202)
    scene.show(SMALL, events)
    assert images.jpeg_size(scene.file(NAMES[0])) == (16, 16)


def peak_memory(manager):
    text = Path(f"/proc/{manager.proc.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


@pytest.mark.skipif(sanitizer() == "tsan", reason="minutes, and its memory says nothing")
@pytest.mark.parametrize("width, height", [(8192, 8192), (65535, 1024)])
def test_the_largest_image_needs_little_memory(make_farm, lane, width, height):
    """64 Mpixel, 200 MB decoded, 200 KB as they are sent."""
    farm = make_farm(yaml={"plugins": {"last_rendered": {"file": "last-rendered", "settings": {"decode_time": "10m"}}}})
    scene = Scene(farm, lane)
    events = farm.events()
    scene.show(SMALL, events)
    before = peak_memory(farm.manager)
    assert_empty(scene.send(images.plain(width, height)), 202)
    events.wait(lambda e: e["topic"] == "/last-rendered", timeout=60)
    assert images.jpeg_size(scene.file(NAMES[0]))[0] in (1080, 1920)
    if not sanitizer():
        assert peak_memory(farm.manager) - before < 64 << 20


def test_what_must_be_decoded_whole_is_bounded(make_farm, lane):
    farm = make_farm(yaml={"plugins": {"last_rendered": {"file": "last-rendered", "settings": {
        "decode_memory": "16MiB", "pixels": 2000000}}}})
    scene = Scene(farm, lane)
    position = farm.manager.log_position()
    assert_empty(scene.send(images.plain(2001, 1000)), 202)
    farm.manager.wait_log("are too many: 2000000 are allowed", position)
    scene.show(images.plain(2000, 1000), farm.events())


@pytest.fixture(scope="module")
def bomb():
    """983 Mpixel: seconds anywhere, and 1 MB as it is sent."""
    return images.plain(15000, 65535, colour=(7,), colour_type=0)


def test_an_image_that_takes_too_long_is_dropped(make_farm, lane, bomb):
    farm = make_farm(yaml={"plugins": {"last_rendered": {"file": "last-rendered", "settings": {
        "decode_time": "1s", "pixels": 2**30}}}})
    scene = Scene(farm, lane)
    position = farm.manager.log_position()
    assert_empty(scene.send(bomb), 202)
    farm.manager.wait_log("decoding takes too long", position, timeout=60)
    scene.show(SMALL, farm.events())


# ---- Much at once -----------------------------------------------------------------------------------------------------------


def test_the_newest_of_each_job_is_shown(farm):
    """Many at once from several jobs: each job's last image is what stays, and nobody is left out."""
    scenes = [Scene(farm, f"images-{next(_lanes)}") for _ in range(4)]
    events = farm.events()
    for width in range(10, 40):
        for scene in scenes:
            assert_empty(scene.send(images.plain(width, 10)), 202)
    for scene in scenes:
        wait_until(lambda s=scene: (s.folder / NAMES[0]).exists() and images.jpeg_size(s.file(NAMES[0])) == (39, 10),
                   "the last image of the job")
    assert {e["payload"]["job_id"] for e in events.take("last_rendered")} >= {scene.job for scene in scenes}


def test_429_when_too_much_waits(make_farm):
    farm = make_farm(yaml={"limits": {"image_memory": "32MiB"}, "plugins": {"last_rendered": {
        "file": "last-rendered", "settings": {"decode_time": "10m", "pixels": 2**30}}}})
    slow, first, second = (Scene(farm, f"busy-{n}") for n in range(3))
    data = SMALL + bytes(LIMIT - len(SMALL))  # what is behind the image does not matter
    assert_empty(slow.send(images.plain(15000, int(16000 / scale()), colour=(7,), colour_type=0)), 202)
    wait_until(lambda: (slow.folder / (NAMES[0] + ".part")).exists(), "the slow image to be under way")
    assert_empty(first.send(data), 202)
    assert_error(second.send(data), 429)
    assert_empty(first.send(data), 202)  # in place of its own
    events = farm.events()
    assert_empty(second.send(SMALL), 202)
    events.wait(lambda e: e["topic"] == "/last-rendered" and e["payload"]["job_id"] == second.job, timeout=120)
    assert first.info() == thumbnail(first)
    assert_empty(second.send(data), 202)


def test_the_end_does_not_wait_for_an_image(make_farm, lane, bomb):
    farm = make_farm(yaml={"plugins": {"last_rendered": {"file": "last-rendered", "settings": {
        "decode_time": "10m", "pixels": 2**30}}}})
    scene = Scene(farm, lane)
    assert_empty(scene.send(bomb), 202)
    farm.manager.stop()  # asserts exit code 0; killed after 30 s


# ---- Files that cannot be written -------------------------------------------------------------------------------------------


def test_unwritable_job_folder(farm, lane):
    """The job is recorded and told, since the image was good; there is just nothing to show."""
    job = farm.submit([{"type": lane}])["id"]
    # A file where the folder must be: this stops root, too.
    blocker = farm.manager.storage / f"job-{job[:4]}"
    blocker.parent.mkdir(exist_ok=True)
    blocker.write_text("in the way")
    scene = Scene.__new__(Scene)
    scene.farm, scene.job, scene.worker = farm, job, farm.worker(types=[lane])
    scene.task = scene.worker.get_task()["uuid"]
    events, position = farm.events(), farm.manager.log_position()
    assert len(scene.show(SMALL, events)) == 2
    farm.manager.wait_log(f"job {job}: cannot", position)
    assert_empty(farm.api.get(f"/jobs/{job}/last-rendered"))
    assert_empty(farm.api.get("/jobs/last-rendered"))
    blocker.unlink()
    scene.show(SMALL, events)
    assert scene.info() == thumbnail(scene)


# ---- Without it -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [None, {"file": "last-rendered", "enabled": False}], ids=["absent", "disabled"])
def test_without_the_plugin(make_farm, lane, member):
    farm = make_farm(yaml={"plugins": {"last_rendered": member}})
    scene = Scene(farm, lane)
    assert_empty(scene.send(SMALL), 202)
    assert_empty(scene.send(SMALL, "image/jpeg"), 202)
    assert_empty(farm.api.get("/jobs/last-rendered"))
    assert_empty(farm.api.get(f"/jobs/{scene.job}/last-rendered"))
    assert_error(farm.api.get("/jobs/nonsense/last-rendered"), 400)
    assert_error(scene.send(b""), 400)
    assert_error(scene.send(SMALL, "image/tiff"), 400)
    assert_error(scene.worker.api.post(f"/worker/task/{UNKNOWN}/output-produced", data=b"x",
                                       headers={"Content-Type": "image/png"}), 404)
    assert not list(scene.folder.glob("last-rendered*"))


# ---- With simulated Workers -------------------------------------------------------------------------------------------------


def test_demo_of_the_simulated_farm(make_farm):
    sim = program().resolve().parents[1] / "tools" / "farm-sim" / "farm-sim"
    if not sim.exists():
        pytest.skip("this build has no farm-sim")
    farm = make_farm(yaml=PLUGIN)
    events = farm.events()
    done = subprocess.run([str(sim), "demo", "--images", "--frames", "1-4", "--url", farm.manager.url, "--time-scale", "0.1"],
                          cwd=farm.manager.dir, capture_output=True, text=True, timeout=120 * scale())
    assert done.returncode == 0, done.stdout + done.stderr
    job = events.wait(lambda e: e["topic"] == "/last-rendered")[-1]["payload"]["job_id"]
    info = farm.api.ok("GET", f"/jobs/{job}/last-rendered")
    assert images.jpeg_size(farm.api.get(f"/{info['base']}/{NAMES[2]}").content) == (199, 112)
