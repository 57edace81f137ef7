"""The editor in a real browser: a border is pulled with the mouse, EF changes, and after a reload it is still so."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed (extra: view)")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    BROWSER is None or os.name != "posix", reason="no Chromium on this machine (Debian package: chromium)"
)
PATIENCE = 120.0  # s


class Page:
    """A page of a headless browser, spoken to over a pipe (Chrome DevTools Protocol)."""

    def __init__(self, profile):
        here, there = os.pipe(), os.pipe()
        self.ears, self.mouth = there[0], here[1]

        def connect():
            os.dup2(here[0], 63)  # far from 3 and 4, so that neither is closed by the other's move
            os.dup2(there[1], 64)
            os.dup2(63, 3)
            os.dup2(64, 4)

        command = [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1400,1000", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(here[0])
        os.close(there[1])
        self.number, self.heard, self.console, self.session = 0, b"", [], None
        target = self.say("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.say("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.say(f"{domain}.enable")

    def say(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.mouth, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._hear()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.console.append(answer["params"])

    def _hear(self):
        while b"\0" not in self.heard:
            part = os.read(self.ears, 65536)
            assert part, "the browser has gone"
            self.heard += part
        line, self.heard = self.heard.split(b"\0", 1)
        return json.loads(line)

    def look(self, expression):
        result = self.say("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression):
        end = time.monotonic() + PATIENCE
        guarded = f"(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()"  # the page may still load
        while not self.look(guarded):
            assert time.monotonic() < end, f"waited in vain for {expression}"
            time.sleep(0.05)

    def mouse(self, kind, x, y):
        self.say("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def drag(self, start, end):
        self.mouse("mousePressed", *start)
        for share in (0.25, 0.5, 0.75, 1.0):
            self.mouse("mouseMoved", *(a + share * (b - a) for a, b in zip(start, end, strict=True)))
        self.mouse("mouseReleased", *end)

    def picture(self, path):
        import base64

        path.write_bytes(base64.b64decode(self.say("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        os.close(self.mouth)
        os.close(self.ears)


@pytest.fixture
def served(folder):
    """`cinecmr view` on a small analysis, as a user starts it; the address it printed."""
    command = [str(Path(sys.executable).with_name("cinecmr")), "view", str(folder), "--no-browser", "--reader", "AB"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    assert first.startswith("Open http://127.0.0.1:"), first
    yield first.split()[1]
    process.send_signal(signal.SIGINT)
    process.wait(60)
    process.stdout.close()


@pytest.fixture
def page(tmp_path_factory):
    made = Page(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


READY, IDLE = (
    'document.getElementById("desk").dataset.ready === "yes"',
    'document.getElementById("desk").dataset.busy === "no"',
)
SHOWN = """[...document.querySelectorAll("#numbers tbody tr")].reduce((all, row) =>
  ({...all, [row.dataset.name]: row.cells[2].textContent}), {})"""
# Where the endocardium's rightmost point lies on the screen, from what is drawn: the last pixel of its colour on a row.
EDGE = """(() => {
  const c = document.getElementById("picture"), box = c.getBoundingClientRect(), k = c.width / box.width;
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let best = null;
  for (let y = 0; y < c.height; y++) for (let x = 0; x < c.width; x++) {
    const i = 4 * (y * c.width + x);
    if (d[i] > 230 && Math.abs(d[i + 1] - 167) < 20 && d[i + 2] < 80 && (!best || x > best[0])) best = [x, y];
  }
  return [box.left + best[0] / k, box.top + best[1] / k];
})()"""


def lv_at_ed(folder):
    """Volume at the frame that the page opens at, ml; ED itself may move to another once it is smaller."""
    return json.loads((folder / "findings.json").read_text())["curves"]["LV"]["volume_ml"][0]


def changes(number):
    return f'document.getElementById("desk").dataset.changes === "{number}" && {IDLE}'


def test_a_pulled_border_changes_ef_stays_after_a_reload_and_is_undone(served, page, folder):
    page.say("Page.navigate", url=served)
    page.until(READY)
    before = page.look(SHOWN)
    token = served.split("#")[1]
    assert token not in page.look("location.href")
    x, y = page.look(EDGE)
    page.drag((x, y), (x + 60, y))
    page.until(changes(1))
    after = page.look(SHOWN)
    assert float(after["LVEDV"]) > float(before["LVEDV"]) + 0.1
    assert float(after["LVEF"]) > float(before["LVEF"]) + 0.1
    assert after["RVEDV"] == before["RVEDV"]
    findings = json.loads((folder / "findings.json").read_text())["measurements"]
    assert f"{findings['LVEF']['value']:.1f}" == after["LVEF"]
    (entry,) = [json.loads(line) for line in (folder / "edits.jsonl").read_text().splitlines()]
    assert (entry["tool"], entry["reader"]) == ("drag endo", "AB")

    page.say("Page.reload")
    page.until(f"{READY} && {changes(1)}")
    assert page.look(SHOWN) == after
    assert page.look(EDGE)[0] > x + 5  # the border is where it was pulled to

    page.look('document.getElementById("undo").click()')
    page.until(changes(2))
    assert page.look(SHOWN) == before
    assert page.console == []


def test_structures_are_painted_and_erased_and_frames_chosen(served, page, folder):
    page.say("Page.navigate", url=served)
    page.until(READY)
    before, full = page.look(SHOWN), lv_at_ed(folder)
    box = page.look('(() => { const b = document.getElementById("picture").getBoundingClientRect();'
                    "return [b.left, b.top, b.width, b.height]; })()")  # fmt: skip
    x, y = page.look(EDGE)
    page.look('document.querySelector("[data-tool=paint]").click(); document.querySelector("[data-border=rv]").click()')
    corner = (box[0] + box[2] * 0.2, box[1] + 30)
    page.drag(corner, (corner[0] + 60, corner[1]))
    page.until(changes(1))
    assert float(page.look(SHOWN)["RVEDV"]) > float(before["RVEDV"])
    page.look('document.querySelector("[data-tool=erase]").click()')
    page.drag((x - 5, y), (x - 60, y))
    page.until(changes(2))
    assert lv_at_ed(folder) < full - 0.1
    page.look('document.getElementById("frame").value = 6;'
              'document.getElementById("frame").dispatchEvent(new Event("input"));'
              'document.getElementById("is-es").click()')  # fmt: skip
    page.until(changes(3))
    assert json.loads((folder / "findings.json").read_text())["cycle"]["LV_ES"] == 6
    if "CINECMR_SHOTS" in os.environ:  # for whoever wants to look
        page.picture(Path(os.environ["CINECMR_SHOTS"]) / "editor.png")


def test_whoever_has_only_the_address_without_the_token_sees_nothing(served, page):
    page.say("Page.navigate", url=served.split("#")[0])
    page.until('document.getElementById("desk").dataset.ready === "failed"')
    assert "open the address" in page.look('document.getElementById("told").textContent')
    assert page.look('document.getElementById("subject").textContent') == ""
