"""The report in a real browser: it plays, obeys the keyboard, asks the network for nothing, and can be printed."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest

from cinecmr import Findings, Flag, Severity
from cinecmr.analyze import page, schema

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian package: chromium)")

# Runs steps once the page is ready and writes what it saw into the page, where --dump-dom finds it.
DRIVER = """<script>
window.addEventListener("error", (e) => { document.body.dataset.error = e.message; });
const P = document.getElementById("player"), at = (id) => document.getElementById(id), saw = {};
const key = (k, on) => (on || document.body).dispatchEvent(
  new KeyboardEvent("keydown", {key: k, bubbles: true, cancelable: true}));
const now = () => ({...P.dataset});
const seen = (canvas) => { // coloured pixels, and mean brightness
  const copy = document.createElement("canvas");
  copy.width = canvas.width; copy.height = canvas.height;
  const pen = copy.getContext("2d", {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0);
  const d = pen.getImageData(0, 0, copy.width, copy.height).data;
  let colour = 0, sum = 0;
  for (let i = 0; i < d.length; i += 4) {
    sum += d[i];
    if (Math.max(d[i], d[i+1], d[i+2]) - Math.min(d[i], d[i+1], d[i+2]) > 40) colour++;
  }
  return {colour, mean: 4 * sum / d.length};
};
const rest = () => { P.focus(); if (P.dataset.playing === "true") key(" "); key("Escape"); key("d"); };
const wait = setInterval(() => {
  if (P.dataset.ready === "no") return;
  clearInterval(wait);
  STEPS
  const out = document.createElement("pre");
  out.id = "saw";
  out.textContent = JSON.stringify(saw);
  document.body.append(out);
}, 20);
</script></body>"""

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def browse(folder, text, *arguments):
    """Open a page; the DOM afterwards, and what the console said."""
    (folder / "page.html").write_text(text, "utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0", "--dump-dom",
        "--virtual-time-budget=1500", "--window-size=1280,1600", *arguments, (folder / "page.html").as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def drive(folder, text, steps, *arguments):
    """What the driver noted. It needs a looser policy than the page's own, which is tested apart."""
    loose = POLICY.sub("", text).replace("</body>", DRIVER.replace("STEPS", steps))
    dom, console = browse(folder, loose, *arguments)
    assert console == []
    assert "data-error" not in dom
    return json.loads(html.unescape(re.search(r'<pre id="saw">(.*?)</pre>', dom)[1]))


@pytest.fixture(scope="module")
def made(heart):
    file = schema.to_file_model(heart.study, heart.found, provenance={}, truth=heart.truth)
    return page.render(file, heart.study, heart.found, heart.truth)


@pytest.fixture(scope="module")
def session(made, tmp_path_factory):
    """One visit to the page in which everything is tried once, for many tests to look at."""
    steps = """
    saw.opened = now();
    P.focus(); key(" "); saw.stopped = now(); key(" "); saw.again = now(); rest();
    saw.ed = now(); key("ArrowRight"); saw.right = now(); key("ArrowLeft"); key("ArrowLeft"); saw.left = now();
    key("s"); saw.es = now(); key("c"); saw.bare = now(); key("c"); key("g"); saw.one = now();
    key("ArrowDown"); saw.down = now(); key("ArrowUp"); key("ArrowUp"); saw.up = now();
    key("Escape"); saw.escape = now();

    rest(); P.blur(); key("ArrowRight"); saw.away = now();
    P.dispatchEvent(new PointerEvent("pointerenter")); key("ArrowRight"); saw.pointed = now();
    P.dispatchEvent(new PointerEvent("pointerleave")); key("ArrowRight"); saw.left_again = now();

    rest(); const slider = at("frame"); slider.focus(); key("ArrowRight", slider); saw.slider_key = now();
    slider.value = 7; slider.dispatchEvent(new Event("input")); saw.slider = now();

    rest(); const first = P.querySelector(".tile canvas"); saw.every = seen(first);
    P.querySelector("[data-contour=rv]").click(); saw.no_rv = seen(first); P.querySelector("[data-contour=rv]").click();
    P.focus(); key("c"); saw.none = seen(first);
    at("level").value = 80; at("level").dispatchEvent(new Event("input")); saw.bright = seen(first);
    at("reset").click(); saw.reset = seen(first); P.focus(); key("c");

    rest(); key("s"); const chart = document.querySelector("svg.curves"), line = at("cursor");
    saw.marks = [...chart.querySelectorAll("circle")].map((c) => Number(c.getAttribute("cx")));
    saw.cursor_es = Number(line.getAttribute("x1"));
    const box = chart.getBoundingClientRect(), x = box.left + box.width * saw.marks[0] / 460;
    chart.dispatchEvent(new MouseEvent("click", {clientX: x, clientY: box.top + 20}));
    saw.cursor_clicked = Number(line.getAttribute("x1")); saw.clicked = now();

    rest(); const tiles = P.querySelectorAll(".tile"); tiles[1].click(); saw.enlarged = now(); tiles[1].click();
    saw.small_again = now();
    tiles[1].focus(); tiles[1].click(); key("ArrowDown", document.activeElement);
    key("ArrowDown", document.activeElement); saw.walked = now(); saw.focus = P.contains(document.activeElement);
    saw.names = [...P.querySelectorAll("button")].map((b) => b.innerText || b.ariaLabel);
    saw.asked = performance.getEntriesByType("resource").map((r) => r.name.slice(0, 11));
    """
    return drive(tmp_path_factory.mktemp("session"), made, steps)


def test_the_heart_beats_as_soon_as_the_page_is_open_within_its_own_policy(made, tmp_path):
    dom, console = browse(tmp_path, made)
    assert console == []  # a breach of the policy or a script error would stand here
    assert 'data-ready="yes"' in dom
    assert 'data-playing="true"' in dom


def test_a_resource_from_elsewhere_is_blocked_by_the_policy(made, tmp_path):
    breach = made.replace("</main>", '<img src="http://127.0.0.1:9/x.png"><script>alert(1)</script></main>')
    dom, console = browse(tmp_path, breach)
    assert len([line for line in console if "Content Security Policy" in line]) >= 2
    assert 'data-ready="yes"' in dom


def test_the_page_asks_for_pictures_inside_itself_and_for_nothing_else(session):
    assert all(name == "data:image/" for name in session["asked"])


def test_the_space_bar_stops_and_starts_the_beat(session):
    assert [session[moment]["playing"] for moment in ("opened", "stopped", "again")] == ["true", "false", "true"]


def test_the_arrows_step_through_the_beat_and_around_its_end(session):
    assert [session[moment]["frame"] for moment in ("ed", "right", "left")] == ["0", "1", "9"]


def test_keys_go_to_end_diastole_and_end_systole(session):
    assert (session["ed"]["frame"], session["es"]["frame"]) == ("0", "4")


def test_keys_choose_layout_and_slice(session):
    assert (session["es"]["grid"], session["one"]["grid"], session["escape"]["grid"]) == ("true", "false", "true")
    chosen = [int(session[moment]["slice"]) for moment in ("one", "down", "up")]
    assert chosen == [chosen[0], chosen[0] + 1, chosen[0] - 1]


def test_the_keyboard_belongs_to_the_page_while_nobody_points_at_the_player(session):
    assert [session[moment]["frame"] for moment in ("away", "pointed", "left_again")] == ["0", "1", "1"]


def test_a_slider_keeps_its_own_arrow_keys_and_scrubs(session):
    assert (session["slider_key"]["frame"], session["slider"]["frame"]) == ("0", "7")
    assert session["slider"]["playing"] == "false"


def test_contours_are_drawn_on_the_frames_and_taken_away(session):
    every, no_rv, none = (session[moment] for moment in ("every", "no_rv", "none"))
    assert (session["es"]["contours"], session["bare"]["contours"]) == ("true", "false")
    assert every["colour"] > no_rv["colour"] + 20
    assert no_rv["colour"] > 20
    assert none["colour"] == 0
    assert none["mean"] > 20  # the image itself is there


def test_brightness_changes_what_is_seen_and_can_be_reset(session):
    assert session["bright"]["mean"] > session["none"]["mean"] + 20
    assert session["reset"]["mean"] == session["none"]["mean"]


def test_the_cursor_of_the_curves_follows_the_frame_and_a_click_moves_it(session):
    ed, es = session["marks"][:2]
    assert session["cursor_es"] == pytest.approx(es, abs=0.2)
    assert session["cursor_clicked"] == pytest.approx(ed, abs=0.2)
    assert session["clicked"]["frame"] == "0"


def test_a_click_enlarges_a_slice_and_another_shows_all_again(session):
    assert (session["enlarged"]["grid"], session["enlarged"]["slice"]) == ("false", "1")
    assert session["small_again"]["grid"] == "true"


def test_walking_through_enlarged_slices_keeps_the_keyboards_place(session):
    assert (session["walked"]["grid"], session["walked"]["slice"]) == ("false", "3")
    assert session["focus"]


def test_every_button_has_a_name(session):
    assert len(session["names"]) > 10
    assert all(name.strip() for name in session["names"])


def test_whoever_asked_for_less_motion_sees_a_still_heart_first(made, tmp_path):
    saw = drive(tmp_path, made, "saw.opened = now();", "--force-prefers-reduced-motion")
    assert (saw["opened"]["playing"], saw["opened"]["frame"]) == ("false", "0")


def test_paper_gets_every_slice_at_ed_and_es_in_place_of_the_player(made, tmp_path):
    steps = """
    saw.shown = [P, at("sheet")].map((part) => getComputedStyle(part).display);
    const rows = [...document.querySelectorAll("#sheet .thumbs")];
    saw.rows = rows.map((row) => [...row.querySelectorAll("canvas")].map((canvas) => seen(canvas).colour));
    """
    saw = drive(tmp_path, made.replace("@media print", "@media all"), steps)
    assert saw["shown"] == ["none", "block"]
    ed, es = saw["rows"]
    assert len(ed) == len(es) == 6
    # Borders make up some of each picture, but not all of it; slice 2 was never acquired, slice 5 lies beyond the apex.
    assert all(300 < row[z] < 30_000 for row in (ed, es) for z in (0, 1, 3, 4))
    assert [row[z] for row in (ed, es) for z in (2, 5)] == [0, 0, 0, 0]
    assert ed[0] > es[0]  # the borders of a full heart are longer


def test_a_phone_shows_the_page_without_scrolling_sideways(made, tmp_path):
    inner = json.dumps(POLICY.sub("", made)).replace("</", "<\\/")
    host = f"""<!doctype html><body><iframe id="f" width="360" height="800" frameborder="0"></iframe><script>
    const f = document.getElementById("f");
    f.srcdoc = {inner};
    f.onload = () => setTimeout(() => {{
      const d = f.contentDocument, all = [...d.querySelectorAll("body *")].filter((e) => !e.closest("svg"));
      const wide = all.filter((e) => e.getBoundingClientRect().right > 361).map((e) => e.tagName + e.className);
      document.title = [d.documentElement.scrollWidth, ...wide, d.getElementById("player").dataset.ready].join(" ");
    }}, 500);
    </script>"""
    dom, _ = browse(tmp_path, host)
    assert re.search(r"<title>(.*?)</title>", dom)[1] == "360 yes"


def test_a_refused_study_still_plays_and_no_text_of_it_runs(heart, tmp_path):
    evil = "</script><script>document.body.dataset.error = 'ran'</script><img src=x onerror='alert(1)'>"
    study = dataclasses.replace(heart.study, subject=evil, provenance={"source": evil})
    found = Findings(flags=(Flag("no-lv", Severity.REFUSE, evil),))
    text = page.render(schema.to_file_model(study, found, provenance={"options": evil}), study, found)
    steps = """
    saw.status = at("status").dataset.status; saw.images = document.querySelectorAll("img").length; rest();
    saw.first = seen(P.querySelector("canvas")); saw.told = document.querySelector(".message").textContent;
    """
    saw = drive(tmp_path, text, steps)
    assert (saw["status"], saw["images"], saw["told"]) == ("refused", 0, evil)
    assert saw["first"]["mean"] > 20
    assert saw["first"]["colour"] == 0
