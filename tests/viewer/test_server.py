"""The server lets in this page of this computer with its token, and nobody else."""

import base64
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.viewer import server
from cinecmr.viewer.desk import Desk

pytest.importorskip("fastapi", reason="FastAPI is not installed (extra: view)")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra: view)")
TOKEN = "a-token-of-the-tests"


@pytest.fixture
def served(folder):
    """A desk behind a real socket: the desk, its port, and a function that asks."""
    desk = Desk(folder)
    listening = socket.socket()
    listening.bind((server.HOST, 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(server.application(desk, port, TOKEN), log_level="warning", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)

    def ask(path, body=None, *, token=TOKEN, raw=False, **headers):
        given = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            given |= {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {**given, **headers})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                content = answer.read()
                return answer.status, content if raw else json.loads(content), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), dict(error.headers)

    yield desk, port, ask
    running.should_exit = True
    thread.join(30)
    listening.close()


def plane_of(desk, z, t, change):
    plane = desk.plane(z, t)
    change(plane)
    return base64.b64encode(plane.tobytes()).decode()


def test_pictures_and_labels_come_as_the_screen_shows_them(served):
    desk, _, ask = served
    status, content, _ = ask("/api/labels/3/0", raw=True)
    assert status == 200
    np.testing.assert_array_equal(np.frombuffer(content, np.uint8).reshape(32, 32), desk.plane(3, 0))
    picture = np.frombuffer(ask("/api/image/3/0", raw=True)[1], np.uint8).reshape(32, 32)
    assert picture[desk.plane(3, 0) == Structure.LV].mean() > 2 * picture[desk.plane(3, 0) == Structure.MYO].mean()


def test_a_change_answers_with_the_new_numbers_and_the_report_follows(served):
    desk, _, ask = served

    def widen(plane):
        plane[:3, :3] = Structure.RV

    before = desk.found.measurements["RVEDV"].value
    body = {"slice": 3, "frame": 0, "tool": "paint rv", "labels": plane_of(desk, 3, 0, widen)}
    status, state, _ = ask("/api/labels", body)
    (told,) = [one for one in state["numbers"] if one["name"] == "RVEDV"]
    assert (status, told["value"]) == (200, pytest.approx(before + 9 * 0.04))
    assert len(state["log"]) == 1
    assert "before" not in state["log"][0]
    page = ask(f"/report.html?token={TOKEN}", token=None, raw=True)[1].decode()
    assert "1 correction by a reader" in page
    assert ask("/api/undo", {})[1]["log"][-1]["action"] == "undo"
    assert ask("/api/frames", {"ed": 1, "es": 5})[1]["cycle"]["LV_ES"] == 5
    assert ask("/api/frames", {"ed": None, "es": None})[1]["chosen"] == {"ed": None, "es": None}


def test_the_page_itself_holds_no_data_and_may_run_only_its_own_script(served):
    _, _, ask = served
    status, page, headers = ask("/", token=None, raw=True)
    assert status == 200
    assert b"tiny" not in page  # the subject's name
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/api/study", "/api/image/3/0", "/api/labels/3/0", "/report.html", "/docs", "/api/none"]
)
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_without_the_token_there_is_nothing(served, path, token):
    status, content, _ = served[2](path, token=token)
    assert (status, content) == (401, "open the address that `cinecmr view` printed")


def test_another_name_for_this_computer_is_turned_away(served):
    _, port, ask = served
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"[::1]:{port}"):
        assert ask("/api/study", Host=host)[0] == 421
    assert ask("/api/study", Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{}", "http://127.0.0.1:1", "http://127.0.0.1"]
)
def test_another_page_is_turned_away_even_with_the_token(served, origin):
    desk, port, ask = served
    assert ask("/api/undo", {}, Origin=origin.format(port))[0] == 403
    assert ask("/api/study", Origin=origin.format(port))[0] == 403
    assert desk.log == []


def test_a_change_that_names_no_origin_is_turned_away(served):
    desk, port, _ = served
    text = f"POST /api/undo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    for more in (
        "Content-Length: 2\r\n\r\n{}",
        f"Origin: http://127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        with socket.create_connection((server.HOST, port)) as line:
            line.sendall((text + "Connection: close\r\n" + more).encode())
            answer = line.recv(1000).decode()
        assert answer.startswith(("HTTP/1.1 403", "HTTP/1.1 413"))
    assert desk.log == []


def test_too_much_at_once_is_turned_away_before_it_is_sent(served):
    _, port, _ = served
    head = f"POST /api/labels HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
    head += f"Authorization: Bearer {TOKEN}\r\nContent-Length: {server.MOST_BYTES + 1}\r\n\r\n"
    with socket.create_connection((server.HOST, port)) as line:
        line.sendall(head.encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "change",
    [{"labels": "!"}, {"labels": "AAAA"}, {"tool": "<b>"}, {"slice": -1}, {"slice": 99}, {"frame": 99}, {"more": 1}],
)
def test_a_change_that_does_not_fit_is_refused_and_nothing_is_written(served, change):
    desk, _, ask = served
    fitting = {"slice": 3, "frame": 0, "tool": "erase", "labels": plane_of(desk, 3, 0, lambda plane: plane.fill(0))}
    assert ask("/api/labels", fitting | change)[0] == 422
    assert desk.log == []
    assert not (desk.out / "edits.jsonl").exists()


def test_a_slice_or_frame_that_does_not_exist_is_not_found(served):
    assert [served[2](f"/api/image/{place}")[0] for place in ("99/0", "0/99", "-1/0")] == [404, 404, 404]


def test_a_port_that_is_taken_is_refused_with_what_to_do(folder):
    desk = Desk(folder)
    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        with pytest.raises(RefusedInput, match="choose another with --port"):
            server.serve(desk, taken.getsockname()[1])
