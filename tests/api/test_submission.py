# SPDX-License-Identifier: Apache-2.0
"""Submitted jobs: what is stored, shown and told (job-compiler 6, 12, 13; api-behaviour 4, 7.5)."""
import pytest
from harness.check import assert_empty, assert_error, assert_uuid, parse_time
from harness.events import shape
from harness.openapi import assert_schema

HEAD = 'const JOB_TYPE = { label: "x", settings: [] };\nfunction compileJob(job) {\n'
SCRIPTS = {
    # outcome of check and submit: see the tables below
    "no_tasks.js": "",
    "no_commands.js": 'job.addTask(author.Task("t", "misc"));',
    "async_reject.js": "}\ncompileJob = async function (job) { job.addTask(author.Task('t', 'misc')); await 0; throw 1;",
    "steps.js": """
        for (const counts of [[0, 0], [12], [0, 5, 1], [-4], []]) {
            const t = author.Task("s" + counts.join(","), "misc");
            for (const n of counts) t.addCommand(author.Command("echo", {}, n));
            job.addTask(t);
        }""",
    "rewrites.js": """
        job.settings.added = [1, {b: null}]; delete job.settings.gone; job.settings.missing = undefined;
        job.metadata.made = 5; job.name = job.name + "!"; job.priority = 77; job.status = "active";""",
    "keys.js": 'job.addTask(author.Task(Object.keys(job).join(","), "misc"));',
    "sees.js": """
        for (const [k, v] of Object.entries({ type: job.jobType, tag: job.workerTagUUID, sha: job.storage.shamanCheckoutID,
                id: job.jobID, prio: job.priority, s: JSON.stringify(job.settings), m: JSON.stringify(job.metadata) }))
            job.addTask(author.Task(k + "=" + v, "misc"));""",
    "foreign_dep.js": 'const a = author.Task("a", "misc"), b = author.Task("b", "misc"); a.addDependency(b); job.addTask(a);',
    "same_task.js": 'const a = author.Task("a", "misc"); job.addTask(a); job.addTask(a);',
    "same_dep.js": """
        const a = author.Task("a", "misc"), b = author.Task("b", "misc");
        b.addDependency(a); b.addDependency(a); job.addTask(a); job.addTask(b);""",
    "cycle.js": """
        const a = author.Task("a", "misc"), b = author.Task("b", "misc");
        a.addDependency(b); b.addDependency(a); job.addTask(a); job.addTask(b);""",
    "self.js": 'const a = author.Task("a", "misc"); a.addDependency(a); job.addTask(a);',
    "null_task.js": "job.addTask(null);",
    "no_task.js": "job.addTask();",
    "null_dep.js": 'const a = author.Task("a", "misc"); a.addDependency(null); job.addTask(a);',
    "nan.js": 'const a = author.Task("a", "misc"); a.addCommand(author.Command("echo", {n: NaN})); job.addTask(a);',
    "function.js": 'const a = author.Task("a", "misc"); a.addCommand(author.Command("echo", {f() {}})); job.addTask(a);',
    "cyclic.js": """
        const p = {}; p.p = p;
        const a = author.Task("a", "misc"); a.addCommand(author.Command("echo", p)); job.addTask(a);""",
    "no_compile.js": "}\ncompileJob = 5;\nif (0) {",
    "null_params.js": 'const a = author.Task("a", "misc"); a.addCommand(author.Command("echo")); job.addTask(a);',
}


@pytest.fixture(scope="module")
def cooks(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("cooks"), scripts={k: HEAD + v + "\n}\n" for k, v in SCRIPTS.items()})
    yield farm
    farm.manager.stop()


def submit(farm, job_type, settings=None, **fields):
    return farm.api.ok("POST", "/jobs", json=farm.submission(type=job_type, settings=settings or {}, **fields))


# ---- What a job looks like -------------------------------------------------------------------------------------------------

def test_new_job(farm, lane):
    events = farm.events()
    job = farm.submit([{"type": lane, "commands": [{"name": "echo", "steps": 3}, {"name": "sleep"}]}, {"type": lane}],
                      name="shot 12", priority=60, metadata={"z": "1", "a": "2"}, submitter_platform="linux")
    assert_schema("Job", job)
    assert_uuid(job["id"], 4)
    created = parse_time(job["created"])
    assert job["created"] == job["updated"] and created.microsecond >= 0
    assert {k: v for k, v in job.items() if k not in ("id", "created", "updated", "settings")} == {
        "name": "shot 12", "type": "graph", "priority": 60, "submitter_platform": "", "metadata": {"a": "2", "z": "1"},
        "status": "queued", "activity": "", "steps_completed": 0, "steps_total": 5}
    assert farm.job(job["id"]) == job
    assert job in farm.api.ok("GET", "/jobs")["jobs"]
    got = events.take()
    assert shape(got) == [("job", None, "queued", False)]
    assert got[0]["topic"] == got[0]["name"] == "/jobs"
    assert got[0]["payload"] == {"id": job["id"], "name": "shot 12", "updated": job["updated"], "status": "queued", "type": "graph",
                                 "priority": 60, "refresh_tasks": False, "steps_completed": 0, "steps_total": 5}
    farm.put_away(job["id"])


def test_new_tasks(farm, lane):
    job = farm.submit([{"name": "one", "type": lane, "priority": -5, "commands": [{"name": "echo", "parameters": {"b": 1, "a": [2]}}]},
                       {"name": "two", "type": lane + "x", "deps": [0]}])
    rows = farm.tasks(job["id"])
    for index, row in enumerate(rows, 1):
        assert_schema("TaskSummary", row)
        assert_uuid(row["id"], 7 if row["id"][14] == "7" else 4)
        assert row["index_in_job"] == index and row["status"] == "queued" and row["steps_completed"] == 0
        assert row["worker"] == {"id": "", "name": "", "address": ""}
        assert set(row) == {"id", "name", "status", "index_in_job", "priority", "task_type", "updated", "worker",
                            "steps_completed", "steps_total"}
    assert [r["priority"] for r in rows] == [-5, 50] and [r["task_type"] for r in rows] == [lane, lane + "x"]
    assert rows[0]["id"] != rows[1]["id"]
    task = farm.task(rows[0]["id"])
    assert_schema("Task", task)
    assert set(task) == {"id", "job_id", "index_in_job", "name", "status", "priority", "task_type", "activity", "commands",
                         "created", "updated", "worker", "failed_by_workers", "steps_completed", "steps_total"}
    assert task["job_id"] == job["id"] and task["activity"] == "" and task["failed_by_workers"] == []
    assert task["commands"] == [{"name": "echo", "parameters": {"b": 1, "a": [2]}, "total_step_count": 0}]
    farm.put_away(job["id"])


@pytest.mark.parametrize("fields, key, value", [
    ({"storage": {"shaman_checkout_id": "2026/shot"}}, "storage", {"shaman_checkout_id": "2026/shot"}),
    ({"storage": {"shaman_checkout_id": ""}}, "storage", None),
    ({"storage": {}}, "storage", None),
    ({"worker_tag": ""}, "worker_tag", None),
    ({"metadata": {}}, "metadata", {}),
    ({}, "metadata", {}),
    ({"initial_status": "paused"}, "initial_status", None),
    ({"type_etag": ""}, "type_etag", None),
])
def test_optional_fields(farm, fields, key, value):
    job = farm.submit([], **{"initial_status": "paused", **fields})
    assert job.get(key) == value and (key in job) == (value is not None)
    assert farm.job(job["id"]) == job


def test_job_without_settings_and_metadata(cooks):
    body = cooks.submission(type="no-tasks", initial_status="paused")
    del body["settings"]
    job = cooks.api.ok("POST", "/jobs", json=body)
    assert job["settings"] == {} and job["metadata"] == {}


@pytest.mark.parametrize("status", ["active", "canceled", "completed", "failed", "paused", "pause-requested", "queued",
                                    "cancel-requested", "requeueing", "under-construction"])
def test_initial_status_is_taken_literally(farm, status):
    events = farm.events()
    job = farm.submit([{"type": "nobodys-type"}], initial_status=status)
    assert job["status"] == status and farm.letters(job["id"]) == "Q"
    assert shape(events.take()) == [("job", None, status, False)]
    assert_empty(farm.api.post("/jobs/check", farm.submission([], initial_status=status)))
    farm.set_job_status(job["id"], "canceled")


def test_check_stores_and_tells_nothing(farm):
    before, events = farm.api.ok("GET", "/jobs"), farm.events()
    assert_empty(farm.api.post("/jobs/check", farm.submission([{}, {}])))
    assert farm.api.ok("GET", "/jobs") == before and events.take() == []


def test_each_submission_makes_another_job(farm):
    body = farm.submission([], initial_status="paused")
    ids = [farm.api.ok("POST", "/jobs", json=body)["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    listed = [j["id"] for j in farm.api.ok("GET", "/jobs")["jobs"]]
    assert [i for i in listed if i in ids] == ids


# ---- What scripts may do ---------------------------------------------------------------------------------------------------

def test_steps_of_tasks(cooks):
    job = submit(cooks, "steps")
    assert [t["steps_total"] for t in cooks.tasks(job["id"])] == [2, 12, 7, 1, 0]
    assert job["steps_total"] == 22


def test_script_rewrites_the_job(cooks):
    job = submit(cooks, "rewrites", {"kept": 24.0, "gone": 1}, name="n", metadata={"a": "b"})
    assert job["settings"] == {"kept": 24, "added": [1, {"b": None}], "missing": None}
    assert job["metadata"] == {"a": "b", "made": "5"}
    assert job["name"] == "n!" and job["priority"] == 77 and job["status"] == "queued"


def test_what_a_script_sees(cooks):
    keys = cooks.tasks(submit(cooks, "keys")["id"])[0]["name"].split(",")
    wanted = ["jobID", "workerTagUUID", "name", "jobType", "priority", "status", "created", "settings", "metadata", "storage",
              "tasks"]
    assert [k for k in keys if k != "addTask"] == wanted
    job = submit(cooks, "sees", {"a": [1, {"b": None}]}, metadata={"m": "x"}, storage={"shaman_checkout_id": "sha/1"}, priority=3)
    seen = dict(t["name"].split("=", 1) for t in cooks.tasks(job["id"]))
    assert seen == {"type": "sees", "tag": "", "sha": "sha/1", "id": job["id"], "prio": "3", "s": '{"a":[1,{"b":null}]}',
                    "m": '{"m":"x"}'}


@pytest.mark.parametrize("name", ["no-tasks", "no-commands", "null-params"])
def test_accepted(cooks, name):
    assert_empty(cooks.api.post("/jobs/check", cooks.submission(type=name, settings={})))
    job = submit(cooks, name)
    assert job["status"] == "queued"
    tasks = cooks.tasks(job["id"])
    if name == "no-tasks":
        assert tasks == [] and job["steps_total"] == 0
    elif name == "null-params":
        assert cooks.task(tasks[0]["id"])["commands"] == [{"name": "echo", "parameters": None, "total_step_count": 0}]
    else:
        assert len(tasks) == 1
        assert cooks.task(tasks[0]["id"])["commands"] in (None, [])


@pytest.mark.parametrize("name", ["foreign-dep", "same-task", "same-dep", "cycle", "self", "null-task", "no-task", "null-dep",
                                  "nan", "function", "cyclic", "no-compile", "async-reject"])
def test_what_could_not_be_stored_is_refused_already_by_the_check(cooks, name):
    """The reference crashes, stores half of it, or lets the job wait for ever; here the artist is told (job-compiler 13)."""
    before = cooks.api.ok("GET", "/jobs")
    body = cooks.submission(type=name, settings={})
    assert_error(cooks.api.post("/jobs/check", body), 400)
    assert_error(cooks.api.post("/jobs", body), 400)
    assert cooks.api.ok("GET", "/jobs") == before


# ---- Built-in job types ------------------------------------------------------------------------------------------------------

def authored(farm, job_type, settings, **fields):
    """The tasks of a job as the contract writes them; dependencies are tried out by running the job."""
    job = farm.api.ok("POST", "/jobs", json=farm.submission(type=job_type, settings=settings, **fields))
    out = []
    for row in farm.tasks(job["id"]):
        task = farm.task(row["id"])
        out.append({"name": task["name"], "type": task["task_type"], "priority": task["priority"],
                    "steps_total": task["steps_total"], "commands": task["commands"]})
    return job, out


def command(name, parameters, steps=0):
    return [{"name": name, "parameters": parameters, "total_step_count": steps}]


def test_echo_sleep_test(cooks):
    job, tasks = authored(cooks, "echo-sleep-test", {"message": "good night {blender}", "sleep_duration_seconds": 4,
                                                     "sleep_repeats": 2}, initial_status="paused")
    echo = {"name": "echo", "type": "misc", "priority": 50, "steps_total": 1,
            "commands": command("echo", {"message": "good night {blender}"})}
    sleep = {"name": "sleep", "type": "misc", "priority": 50, "steps_total": 1,
             "commands": command("sleep", {"duration_in_seconds": 4})}
    assert tasks == [echo, sleep, sleep]


@pytest.mark.parametrize("repeats, n", [(None, 0), (0, 0), (-1, 0), (2, 2), ("2", 2), (0.5, 1), (True, 1)])
def test_echo_sleep_test_repeats(cooks, repeats, n):
    settings = {"message": 5, "sleep_duration_seconds": 1.5}
    if repeats is not None:
        settings["sleep_repeats"] = repeats
    _, tasks = authored(cooks, "echo-sleep-test", settings, initial_status="paused")
    assert len(tasks) == 1 + n
    assert tasks[0]["commands"] == command("echo", {"message": 5})


def test_echo_comes_before_sleep(make_farm):
    farm = make_farm()
    farm.api.ok("POST", "/jobs", json=farm.submission(type="echo-sleep-test", settings={"message": "m", "sleep_repeats": 2}))
    first, second = farm.worker(), farm.worker()
    echo = first.get_task()
    assert echo["name"] == "echo" and second.get_task() is None
    first.complete(echo["uuid"])
    assert [w.get_task()["name"] for w in (first, second)] == ["sleep", "sleep"]


PY = object()


def render(output, frames, steps, fmt, blendfile, scene=None):
    args = (["--scene", scene] if scene else []) + ["--python-expr", PY, "--render-output", output, "--render-format", fmt,
                                                    "--render-frame", frames.replace("-", "..")]
    return {"name": f"render-{frames}", "type": "blender", "priority": 50, "steps_total": steps,
            "commands": command("blender-render", {"exe": "{blender}", "exeArgs": "{blenderArgs}", "argsBefore": [],
                                                   "blendfile": blendfile, "args": args}, steps)}


def video(fps, glob, output):
    return {"name": "preview-video", "type": "ffmpeg", "priority": 50, "steps_total": 1,
            "commands": command("frames-to-video", {
                "exe": "ffmpeg", "fps": fps, "inputGlob": glob, "outputFile": output,
                "args": ["-c:v", "h264", "-crf", "20", "-g", "18", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2",
                         "-pix_fmt", "yuv420p", "-r", fps, "-y"]})}


def without_python(tasks):
    """The wording of the Python program is free; it is one argument of one line."""
    for task in tasks:
        args = task["commands"][0]["parameters"]["args"]
        if "--python-expr" in args:
            at = args.index("--python-expr") + 1
            assert all(word in args[at] for word in ("bpy", "use_file_extension", "use_overwrite", "use_placeholder"))
            assert "\n" not in args[at]
            args[at] = PY
    return tasks


EXAMPLE_1 = {"frames": "11-17", "chunk_size": 3, "render_output_root": "{store}/renders", "add_path_components": 2,
             "render_output_path": "{store}/renders/ep2/alley/Alley/{timestamp}/######",
             "blendfile": "{jobs}/Alley-ab12/ep2/alley/alley.blend", "fps": 24, "format": "PNG", "image_file_extension": ".png",
             "has_previews": False, "scene": "Scene 3"}
EXAMPLE_2 = {"frames": "5, 8..10, 20-21", "chunk_size": 4, "render_output_path": "S:\\out\\{timestamp}\\{shot}\\fr-####",
             "blendfile": "S:\\work\\cave.v3.flamenco.blend", "fps": 23.976, "format": "OPEN_EXR", "image_file_extension": ".exr",
             "has_previews": True, "scene": ""}


def test_simple_blender_render_example_1(cooks):
    job, tasks = authored(cooks, "simple-blender-render", EXAMPLE_1, initial_status="paused")
    path = job["settings"]["render_output_path"]
    stamp = path.split("/")[5]
    assert path == f"{{store}}/renders/ep2/alley/Alley/{stamp}/######" and len(stamp) == len("2026-04-13_090807")
    blend, folder = EXAMPLE_1["blendfile"], path.rsplit("/", 1)[0]
    assert without_python(tasks) == [
        render(path, "11-13", 3, "PNG", blend, "Scene 3"), render(path, "14-16", 3, "PNG", blend, "Scene 3"),
        render(path, "17", 1, "PNG", blend, "Scene 3"), video(24, folder + "/*.png", folder + "/alley-11-17.mp4")]
    assert job["steps_total"] == 8


def test_simple_blender_render_example_2(cooks):
    job, tasks = authored(cooks, "simple-blender-render", EXAMPLE_2, initial_status="paused", submitter_platform="windows")
    stored = job["settings"]["render_output_path"]
    stamp = stored.split("\\")[2]
    assert stored == f"S:\\out\\{stamp}\\{{shot}}\\fr-####"
    folder = f"S:/out/{stamp}/{{shot}}"
    blend = EXAMPLE_2["blendfile"]
    assert without_python(tasks) == [
        render(folder + "/fr-####", "5,8-10", 4, "OPEN_EXR", blend), render(folder + "/fr-####", "20,21", 2, "OPEN_EXR", blend),
        video(23.976, folder + "/*.jpg", folder + "/cave.v3-5-21.mp4")]


@pytest.mark.parametrize("change, names", [
    ({"has_previews": False, "format": "OPEN_EXR"}, ["render-11-13", "render-14-16", "render-17"]),
    ({"fps": None}, ["render-11-13", "render-14-16", "render-17"]),
    ({"fps": 0}, ["render-11-13", "render-14-16", "render-17"]),
    ({"frames": "1..4", "chunk_size": 9}, ["render-1-4", "preview-video"]),
    ({"frames": "3,1", "chunk_size": 9}, ["render-1,3", "preview-video"]),
    ({"frames": "0-11,33-54,76-90", "chunk_size": 20},
     ["render-0-11,33-40", "render-41-54,76-81", "render-82-90", "preview-video"]),
    ({"chunk_size": "2", "frames": "1-3"}, ["render-1,2", "render-3", "preview-video"]),
    ({"blendfile": "dummy-for-job-check.blend"}, ["render-11-13", "render-14-16", "render-17", "preview-video"]),
])
def test_simple_blender_render_variations(cooks, change, names):
    _, tasks = authored(cooks, "simple-blender-render", {**EXAMPLE_1, **change}, initial_status="paused")
    got = [t["name"] for t in tasks]
    assert got == names or got == [n.replace("1,2", "1-2") for n in names]


@pytest.mark.parametrize("change", [
    {"format": "FFMPEG"}, {"format": "AVI_RAW"}, {"format": "AVI_JPEG"}, {"render_output_path": ""}, {"render_output_path": None},
    {"render_output_path": 5}, {"frames": "2-1"}, {"frames": "abc"}, {"frames": None}, {"chunk_size": None},
])
def test_simple_blender_render_refusals(cooks, change):
    body = cooks.submission(type="simple-blender-render", settings={**EXAMPLE_1, **change})
    message = assert_error(cooks.api.post("/jobs/check", body), 400)
    assert "simple_blender_render.js" in message
    if change.get("format"):
        assert change["format"] in message
