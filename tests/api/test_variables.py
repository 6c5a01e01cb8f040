# SPDX-License-Identifier: Apache-2.0
"""Variables, one-way and two-way (configuration-and-clients 2; decisions: longest match on a component boundary, ties by name;
an empty two-way value matches nothing)."""
import pytest

VARIABLES = {
    "ren": {"is_twoway": True, "values": [{"platform": "linux", "value": "/mnt/ren/"}, {"platform": "windows", "value": "R:\\ren"},
                                          {"platform": "darwin", "value": "/Volumes/ren"}]},
    "drv": {"is_twoway": True, "values": [{"platform": "linux", "value": "/mnt/drv"}, {"platform": "windows", "value": "F:\\"}]},
    "w": {"is_twoway": True, "values": [{"audience": "workers", "platform": "linux", "value": "/farm/w"},
                                        {"audience": "users", "platform": "linux", "value": "/user/w"},
                                        {"platform": "windows", "value": "W:"}]},
    "a": {"is_twoway": True, "values": [{"platform": "linux", "value": "/p"}]},
    "b": {"is_twoway": True, "values": [{"platform": "linux", "value": "/p/q"}]},
    "tie2": {"is_twoway": True, "values": [{"platform": "linux", "value": "/tie"}]},
    "tie1": {"is_twoway": True, "values": [{"platform": "linux", "value": "/tie"}]},
    "empty": {"is_twoway": True, "values": [{"platform": "linux", "value": ""}, {"platform": "windows", "value": "E:\\"}]},
    "tool": {"values": [{"platform": "all", "value": "/opt/tool"}, {"platform": "windows", "value": "C:\\tool.exe"},
                        {"audience": "users", "platform": "linux", "value": "/home/tool"}]},
    "pth": {"values": [{"platform": "all", "value": "/mnt/ren/static"}]},
    "both": {"values": [{"platforms": ["linux", "darwin"], "value": "lin or mac"}]},
}


@pytest.fixture(scope="module")
def variable_farm(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("variables"),
                      reference={"variables": VARIABLES, "shared_storage_path": "/mnt/ren/flamenco"})
    farm.workers = {}
    yield farm
    farm.manager.stop()


# ---- getVariables ---------------------------------------------------------------------------------------------------------

def test_variables_for_an_audience_and_platform(variable_farm):
    def get(audience, platform):
        return variable_farm.api.ok("GET", f"/configuration/variables/{audience}/{platform}")

    workers = get("workers", "linux")
    assert workers["ren"] == {"value": "/mnt/ren", "is_twoway": True}
    assert workers["w"]["value"] == "/farm/w" and get("users", "linux")["w"]["value"] == "/user/w"
    assert workers["tool"] == {"value": "/opt/tool", "is_twoway": False}
    assert get("users", "linux")["tool"]["value"] == "/home/tool"
    assert workers["jobs"] == {"value": "/mnt/ren/flamenco", "is_twoway": False}
    assert workers["blender"]["value"] == "blender" and workers["blenderArgs"]["value"] == "-b -y"
    windows = get("workers", "windows")
    assert windows["drv"]["value"] == "F:" and windows["tool"]["value"] == "C:\\tool.exe"
    assert windows["jobs"]["value"] == "/mnt/ren/flamenco"
    assert "both" not in windows and get("workers", "darwin")["both"]["value"] == "lin or mac"
    assert set(get("workers", "plan9")) == {"tool", "pth", "jobs", "blenderArgs"}
    assert get("all", "linux") == {} and get("workers", "Linux").keys() == get("workers", "plan9").keys()


@pytest.mark.parametrize("audience, platform, location", [
    ("workers", "linux", "/mnt/ren/flamenco"),
    ("workers", "windows", "R:\\ren\\flamenco"),
    ("users", "windows", "R:\\ren\\flamenco"),
    ("users", "darwin", "/Volumes/ren/flamenco"),
    ("users", "plan9", "/mnt/ren/flamenco"),
])
def test_shared_storage(variable_farm, audience, platform, location):
    assert variable_farm.api.ok("GET", f"/configuration/shared-storage/{audience}/{platform}") == {
        "location": location, "audience": audience, "platform": platform, "shamanEnabled": False}


def test_shared_storage_that_is_a_drive(make_farm):
    farm = make_farm(reference={"shared_storage_path": "/mnt/f", "variables": {
        "d": {"is_twoway": True, "values": [{"platform": "linux", "value": "/mnt/f"}, {"platform": "windows", "value": "F:\\"}]}}})
    assert farm.api.ok("GET", "/configuration/shared-storage/users/windows")["location"] == "F:\\"
    assert farm.api.ok("GET", "/configuration/shared-storage/users/linux")["location"] == "/mnt/f"


# ---- Submission: from values to names ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("platform, text, stored", [
    ("linux", "/mnt/ren/a", "{ren}/a"),
    ("linux", "/mnt/ren", "{ren}"),
    ("linux", "/mnt/ren/", "{ren}/"),
    ("linux", "/MNT/Ren/A", "{ren}/A"),
    ("linux", "\\mnt\\ren\\a", "{ren}\\a"),
    ("linux", "/mnt/renders/a", "/mnt/renders/a"),
    ("linux", "x/mnt/ren/a", "x/mnt/ren/a"),
    ("linux", "/opt/tool/a", "/opt/tool/a"),
    ("linux", "{ren}/a", "{ren}/a"),
    ("linux", "/farm/w/a", "{w}/a"),
    ("linux", "/user/w/a", "/user/w/a"),
    ("linux", "", ""),
    ("linux", "plain", "plain"),
    ("linux", "/p/q/r", "{b}/r"),
    ("linux", "/p/qr", "{a}/qr"),
    ("linux", "/p", "{a}"),
    ("linux", "/tie/x", "{tie1}/x"),
    ("windows", "R:\\ren\\a", "{ren}\\a"),
    ("windows", "r:/REN/a", "{ren}/a"),
    ("windows", "R:\\renders\\a", "R:\\renders\\a"),
    ("windows", "F:\\a", "{drv}\\a"),
    ("windows", "F:a", "{drv}a"),
    ("windows", "F:", "{drv}"),
    ("windows", "W:\\q", "{w}\\q"),
    ("darwin", "/mnt/ren/x", "/mnt/ren/x"),
    ("plan9", "/mnt/ren/a", "/mnt/ren/a"),
    ("Linux", "/mnt/ren/a", "/mnt/ren/a"),
    ("manager", "/mnt/ren/a", "{ren}/a"),
    ("", "/mnt/ren/a", "/mnt/ren/a"),
])
def test_paths_become_variables_at_submission(variable_farm, platform, text, stored):
    farm = variable_farm
    body = farm.submission(settings={"tasks": [], "p": text, "list": [text], "map": {"p": text}, "n": 7, "yes": True, "nil": None},
                           metadata={"m": text}, submitter_platform=platform, name=text, initial_status="paused")
    job = farm.api.ok("POST", "/jobs", json=body)
    assert job["settings"] == {"tasks": [], "p": stored, "list": [text], "map": {"p": text}, "n": 7, "yes": True, "nil": None}
    assert job["metadata"] == {"m": stored}
    assert job["name"] == text
    farm.api.ok("POST", "/jobs/check", 204, json=body)


# ---- Hand-out: from names to values -----------------------------------------------------------------------------------------

SAME = object()
EXPANSIONS = [
    # text, linux, windows, darwin, plan9
    ("{jobs}/a/b.blend", "/mnt/ren/flamenco/a/b.blend", "R:\\ren\\flamenco\\a\\b.blend", "/Volumes/ren/flamenco/a/b.blend",
     "/mnt/ren/flamenco/a/b.blend"),
    ("{ren}/x/y.png", "/mnt/ren/x/y.png", "R:\\ren\\x\\y.png", "/Volumes/ren/x/y.png", SAME),
    ("{ren}/", "/mnt/ren", "R:\\ren", "/Volumes/ren", SAME),
    ("{ren}x", "/mnt/renx", "R:\\renx", "/Volumes/renx", SAME),
    ("{drv}", "/mnt/drv", "F:\\", SAME, SAME),
    ("{drv}/x", "/mnt/drv/x", "F:\\x", SAME, SAME),
    ("{drv}x/y", "/mnt/drvx/y", "F:\\x\\y", SAME, SAME),
    ("{tool}", "/opt/tool", "C:\\tool.exe", "/opt/tool", "/opt/tool"),
    ("run {tool} {tool}", "run /opt/tool /opt/tool", "run C:\\tool.exe C:\\tool.exe", "run /opt/tool /opt/tool",
     "run /opt/tool /opt/tool"),
    ("{tool} a/b\\c", "/opt/tool a/b\\c", "C:\\tool.exe a/b\\c", "/opt/tool a/b\\c", "/opt/tool a/b\\c"),
    ("{pth}/z", "/mnt/ren/static/z", "R:\\ren\\static\\z", "/Volumes/ren/static/z", "/mnt/ren/static/z"),
    ("/mnt/ren/a/b", SAME, "R:\\ren\\a\\b", "/Volumes/ren/a/b", SAME),
    ("/mnt/renders/a", SAME, SAME, SAME, SAME),
    ("/MNT/REN/a", SAME, SAME, SAME, SAME),
    ("pre /mnt/ren/a", SAME, SAME, SAME, SAME),
    ("-o {ren}/a//b\\c/", "-o /mnt/ren/a/b/c", "-o R:\\ren\\a\\b\\c", "-o /Volumes/ren/a/b/c", SAME),
    ("{ren}/{drv}/z", "/mnt/ren/mnt/drv/z", "R:\\ren\\F:\\z", "/Volumes/ren/{drv}/z", SAME),
    ("{ren} {tool} a/b", "/mnt/ren /opt/tool a/b", "R:\\ren C:\\tool.exe a\\b", "/Volumes/ren /opt/tool a/b", "{ren} /opt/tool a/b"),
    ("/mnt/drv", SAME, "F:\\", SAME, SAME),
    ("{missing}/a", SAME, SAME, SAME, SAME),
    ("{ ren}/a", SAME, SAME, SAME, SAME),
    ("{REN}/a", SAME, SAME, SAME, SAME),
    ("/plain\\x", SAME, SAME, SAME, SAME),
    ("http://h//x", SAME, SAME, SAME, SAME),
    ("", SAME, SAME, SAME, SAME),
    ("abc", SAME, SAME, SAME, SAME),  # an empty two-way value matches nothing
    ("pad=ceil(iw/2)*2", SAME, SAME, SAME, SAME),
    ("/user/w/a", SAME, SAME, SAME, SAME),
    ("/farm/w/a", SAME, "W:\\a", SAME, SAME),
    ("{both}", "lin or mac", SAME, "lin or mac", SAME),
]


@pytest.mark.parametrize("index, platform", list(enumerate(("linux", "windows", "darwin", "plan9"), 1)))
def test_variables_become_paths_when_a_task_is_handed_out(variable_farm, lane, index, platform):
    farm = variable_farm
    texts = [row[0] for row in EXPANSIONS]
    wanted = [row[0] if row[index] is SAME else row[index] for row in EXPANSIONS]
    parameters = {"texts": texts, "{ren}": 3, "deep": {"p": "{ren}"}, "nested": [["{ren}"], {"p": "{ren}"}, 3, None, True],
                  "number": 24, **{f"t{i}": text for i, text in enumerate(texts)}}
    # the job is submitted on a platform without two-way values, so that nothing is replaced on the way in
    job = farm.submit([{"type": lane, "name": "{ren}", "commands": [{"name": "{ren}", "parameters": parameters}]}],
                      submitter_platform="plan9")
    worker = farm.register(platform=platform, types=[lane])
    worker.sign_on([lane])
    worker.state_changed("awake")
    task = worker.get_task()
    assert task["name"] == "{ren}"
    command = task["commands"][0]
    assert command["name"] == "{ren}"
    got = command["parameters"]
    for text, want, one, element in zip(texts, wanted, (got[f"t{i}"] for i in range(len(texts))), got["texts"]):
        assert (text, one) == (text, want)
        assert (text, element) == (text, want)
    assert got["{ren}"] == 3 and got["deep"] == {"p": "{ren}"} and got["number"] == 24
    assert got["nested"] == [["{ren}"], {"p": "{ren}"}, 3, None, True]
    # what is stored is shown as it is
    assert farm.task(task["uuid"])["commands"][0]["parameters"] == parameters
    worker.complete(task["uuid"])
    assert farm.job(job["id"])["status"] == "completed"


def test_changed_variables_act_on_submitted_jobs(make_farm):
    import yaml
    farm = make_farm(reference={"variables": {"v": {"values": [{"platform": "all", "value": "old"}]}}})
    farm.submit([{"commands": [{"name": "echo", "parameters": {"m": "{v}"}}]}])
    farm.manager.reference["variables"]["v"]["values"][0]["value"] = "new"
    (farm.manager.dir / "flamenco-manager.yaml").write_text(yaml.safe_dump(farm.manager.reference))
    farm.api.ok("GET", "/configuration")
    assert farm.worker().get_task()["commands"][0]["parameters"] == {"m": "new"}


def test_no_configured_variables_at_all(make_manager):
    manager = make_manager()
    text = (manager.dir / "flamenco-manager.yaml").read_text() + "\nvariables:\n"
    (manager.dir / "flamenco-manager.yaml").write_text(text)
    manager.start()
    from harness.http import Api
    assert set(Api(manager.url).ok("GET", "/configuration/variables/workers/linux")) == {"jobs"}
