# SPDX-License-Identifier: Apache-2.0
"""Checkouts (contract: shaman 3.5, 4, 5; decisions: failed checkout, backslashes)."""
import os
import re

import pytest
from harness.check import assert_error
from harness.http import Background
from harness.shaman import A, B, OURS, sha, spec, start

LAYOUT = pytest.mark.skipif(not OURS, reason="looks at our layout on disk")


@pytest.fixture
def stored(shaman):
    return shaman.store(A, B)


def read(shaman, checkout, path):
    return (shaman.jobs / checkout / path).read_bytes()


# ---- Names ----

@pytest.mark.parametrize("wanted", (
    "shot_010", "0b6b4a4e-7a60-4d55-9d5f-0a2e9f0b8a11", "Dept A/seq 2/shot 14/2026-01-31-11-30-k3x9", "ñandú/日本語 ロボット",
    "..a/b", "a..b", "a..", "...", "pre/..b", "pre../b", "pre/...", "./dotted", "pre/./mid", "pre//twice", " blank", "blank ", "point.",
    "-dash", "~", "~home", "$HOME/x", "%2e%2e/x", "c,d", "c!d", "[c]", "(c)", "<c>", '"q"', "'q'", "c&d", "c%d", "c#d", "c=d",
    "c|d", "con", "nul.txt", "tab\tline\nbreak", "\u00e9", "e\u0301", "🎬"))
def test_name_is_taken_as_it_is(stored, wanted):
    assert stored.checkout(wanted, spec("x.txt", A)) == wanted
    assert read(stored, wanted, "x.txt") == A


@pytest.mark.parametrize("wanted", (
    "", "/abs", "//a", "/", "a\\b", "\\a", "C:/x", "C:", "shot: final", "a?b", "?a", "a*b", "*", "a;b", ";", "{jobs}/x", "a{b", "a}b",
    "../a", "a/../b", "a/..", "a/b/..", "a/b/../../c", "..", "../..", "a\0b", "n" * 300, "d/" * 2000 + "x", "x/" + "ä" * 200))
def test_name_is_refused_and_nothing_is_made(stored, wanted):
    before = stored.tree()
    assert_error(stored.create(wanted, spec("x.txt", A)), 400)
    assert stored.tree() == before


@pytest.mark.parametrize("wanted, name", (("taken", "taken"), ("deep/er/taken", "deep/er/taken"), (".", "unnamed"),
                                          ("trailing/", "trailing"), ("trailing2/.", "trailing2")))
def test_taken_name_gets_a_suffix(stored, wanted, name):
    first, second, third = (stored.checkout(wanted, spec("x", A)) for _ in range(3))
    assert first == name
    for other in (second, third):
        assert re.fullmatch(re.escape(name) + "-[a-z0-9]{4}", other)
        assert read(stored, other, "x") == A
    assert second != third


def test_file_in_the_place_of_the_name(stored):
    stored.jobs.mkdir(exist_ok=True)
    (stored.jobs / "a file").write_text("x")
    assert re.fullmatch("a file-[a-z0-9]{4}", stored.checkout("a file", spec("x", A)))
    assert_error(stored.create("a file/below", spec("x", A)), 500)
    assert (stored.jobs / "a file").read_text() == "x"


def test_many_at_once_get_different_names(stored):
    clients = [Background(stored.api.clone().post, "/shaman/checkout/create",
                          json={"checkoutPath": "crowd/same", "files": [spec(f"{i}.txt", A)]}) for i in range(8)]
    replies = [client.result() for client in clients]
    assert [r.status_code for r in replies] == [200] * 8
    names = [r.json()["checkoutPath"] for r in replies]
    assert len(set(names)) == 8
    for i, name in enumerate(names):
        assert os.listdir(stored.jobs / name) == [f"{i}.txt"]


def test_empty_checkout_is_a_directory(stored):
    name = stored.checkout("nothing")
    assert os.listdir(stored.jobs / name) == []


# ---- Files ----

@LAYOUT
@pytest.mark.parametrize("checkout, path, data, link, ups", (
    ("l-job", "top.txt", A, "top.txt", 2), ("l-job", "a/b.txt", A, "a/b.txt", 3), ("l-proj/job", "top.txt", A, "top.txt", 3),
    ("l-proj/job", "a/c.txt", B, "a/c.txt", 4), ("l-ünïcödé/日本 語", "я.txt", A, "я.txt", 3), ("l-win", "d\\e\\f.txt", A, "d/e/f.txt", 4),
    ("l-dot", "./c.txt", A, "c.txt", 2), ("l-slash", "dir/", A, "dir", 2)))
def test_link_text_is_relative(stored, checkout, path, data, link, ups):
    name = stored.checkout(checkout, spec(path, data))
    assert os.readlink(stored.jobs / name / link) == "../" * ups + str(stored.blob(data).relative_to(stored.shared))
    assert read(stored, name, link) == data


def test_same_file_at_many_places(stored):
    name = stored.checkout("places", spec("a", A), spec("a", A), spec("b/c", A), spec("b/d", B), spec("./b//d", B))
    assert stored.tree(name) == ["a", "b", "b/c", "b/d"]
    assert read(stored, name, "b/d") == B


def test_surrogate_pairs_become_the_right_names(stored):
    text = '{"checkoutPath":"\\ud83c\\udfac","files":[{"sha":"%s","size":%d,"path":"\\u65e5/\\ud83d\\ude00.txt"}]}' % (sha(A), len(A))
    reply = stored.api.post("/shaman/checkout/create", data=text, headers={"Content-Type": "application/json"})
    assert reply.status_code == 200
    assert read(stored, reply.json()["checkoutPath"], "日/😀.txt") == A


@pytest.mark.parametrize("path", ("", ".", "./", "/etc/foo", "//x", "../escaped.txt", "a/../b.txt", "a/..", "..", "..\\x", "a\\..\\b",
                                  "\\x", "C:\\x", "c:/x", "a\0b", "n" * 256, "d/" * 100 + "x", "ä" * 128))
def test_path_is_refused_and_nothing_is_made(stored, path):
    before, around = stored.tree(), sorted(os.listdir(stored.shared))
    assert_error(stored.create("bad path", spec("good", A), spec(path, A)), 400)
    assert stored.tree() == before and sorted(os.listdir(stored.shared)) == around


@pytest.mark.parametrize("specs", ([("a", A), ("a", B)], [("a", A), ("a/b", A)], [("a/b", A), ("a", A)], [("a", A), ("./a", B)],
                                   [("x/y/z", A), ("x/y", B)]))
def test_two_files_in_one_place_make_no_checkout(stored, specs):
    before = stored.tree()
    assert_error(stored.create("clash/deep", *[spec(p, d) for p, d in specs]), 500)
    assert stored.tree() == before


@pytest.mark.parametrize("change", ({"sha": "e" * 64}, {"size": 12}, {"size": -1}, {"sha": "xy"}, {"sha": sha(A).upper()},
                                    {"sha": "../../../../../etc/passwd"}))
def test_missing_file_is_424_and_another_checkout_stays(stored, change):
    kept = stored.checkout("kept", spec("x", A))
    before = stored.tree()
    message = assert_error(stored.create("kept", spec("y", B), spec("z", A, **change)), 424)
    assert "z" in message
    assert_error(stored.create("new/one", spec("z", A, **change)), 424)
    assert stored.tree() == before
    assert read(stored, kept, "x") == A


@pytest.mark.parametrize("wanted, status", ((".", 424), ("..", 400), ("", 400), ("./", 424)))
def test_dangerous_names_with_a_missing_file_erase_nothing(stored, wanted, status):
    kept = stored.checkout("precious", spec("x", A))
    before = stored.tree()
    assert_error(stored.create(wanted, spec("x", b"not stored at all")), status)
    assert stored.tree() == before and read(stored, kept, "x") == A


def test_failed_checkout_frees_its_name(stored):
    assert_error(stored.create("again", spec("x", b"not stored at all")), 424)
    assert stored.checkout("again", spec("x", A)) == "again"


def test_sha_that_is_too_short_is_refused(stored):
    assert_error(stored.create("short", spec("x", A, sha="a")), 400)


@pytest.mark.parametrize("body", ({}, {"files": []}, {"checkoutPath": "x"}, {"checkoutPath": 5, "files": []},
                                  {"checkoutPath": "x", "files": None}, {"checkoutPath": "x", "files": [{"path": "x"}]}))
def test_bad_bodies(stored, body):
    assert stored.api.post("/shaman/checkout/create", json=body).status_code == 400


def test_checkout_of_many_files(stored):
    n = 3000
    name = stored.checkout("huge", *[spec(f"d{i % 13}/e{i % 7}/f{i}.txt", A if i % 2 else B) for i in range(n)])
    files = [p for p in (stored.jobs / name).rglob("*") if p.is_symlink()]
    assert len(files) == n
    assert all(p.read_bytes() == (A if int(p.name[1:-4]) % 2 else B) for p in files)


# ---- Links in the way ----

@LAYOUT
def test_links_planted_among_checkouts_are_not_followed(make_farm, tmp_path):
    shaman = start(make_farm).store(A)
    outside = tmp_path / "outside"
    outside.mkdir()
    (shaman.jobs / "planted").symlink_to(outside)
    assert_error(shaman.create("planted/x", spec("f", A)), 500)
    assert re.fullmatch("planted-[a-z0-9]{4}", shaman.checkout("planted", spec("f", A)))
    assert list(outside.iterdir()) == []


@LAYOUT
def test_links_planted_in_the_store_are_not_followed(make_farm, tmp_path):
    shaman = start(make_farm)
    outside = tmp_path / "outside"
    blob = outside / sha(A)[2:] / f"{len(A)}.blob"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"secret text")
    (shaman.blob(A).parent.parent).symlink_to(outside)
    assert shaman.status(A) == "unknown"
    assert_error(shaman.create("x", spec("f", A)), 424)
    assert shaman.upload(A).status_code == 500
    assert blob.read_bytes() == b"secret text"
    # A link in the place of a blob gives way to the blob.
    shaman.blob(B).parent.mkdir(parents=True)
    shaman.blob(B).symlink_to("/etc/passwd")
    assert shaman.status(B) == "unknown"
    assert shaman.upload(B).status_code == 200
    assert shaman.blob(B).read_bytes() == B and not shaman.blob(B).is_symlink()


@LAYOUT
def test_race_between_check_and_use(make_farm, tmp_path):
    """Somebody swaps a directory for a link and back while checkouts are made: nothing ever appears behind the link."""
    shaman = start(make_farm).store(A)
    outside = tmp_path / "outside"
    outside.mkdir()
    real, link = shaman.jobs / "real", shaman.jobs / "project"
    real.mkdir()
    stop = []

    def swap():
        while not stop:
            link.symlink_to(outside)
            link.unlink()
            real.rename(link)
            link.rename(real)

    swapper = Background(swap)
    try:
        for i in range(100):
            reply = shaman.create(f"project/c{i}", spec("deep/er/f", A))
            assert reply.status_code in (200, 500), reply.text
            assert list(outside.iterdir()) == []
    finally:
        stop.append(1)
        try:
            swapper.result()
        except OSError:
            pass # a checkout took the free name: it stands in the swapper's way
    assert list(outside.iterdir()) == []
