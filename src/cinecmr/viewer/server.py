"""The desk served to a browser on this computer, and to nobody else.

It listens on 127.0.0.1 alone. Whoever asks for data needs the token that only the printed address holds; requests under
another host's name (DNS rebinding) or from another page (Origin) are turned away, with the token or without.
"""

from __future__ import annotations

import base64
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import words
from cinecmr.errors import RefusedInput
from cinecmr.viewer.requests import Frames, Plane  # noqa: TC001 - FastAPI reads annotations at run time

if TYPE_CHECKING:
    from cinecmr.viewer.desk import Desk

HOST = "127.0.0.1"
STATIC = Path(__file__).with_name("static")
SHELL = {"/": ("view.html", "text/html; charset=utf-8"), "/view.js": ("view.js", "text/javascript; charset=utf-8"),
         "/draw.js": ("draw.js", "text/javascript; charset=utf-8"),
         "/view.css": ("view.css", "text/css; charset=utf-8")}  # fmt: skip
MOST_BYTES = 4_000_000  # of one request: a plane of 1,500 x 1,500 pixels, coded as text
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def fastapi() -> Any:
    """The module, only when something is served.

    Raises:
        RefusedInput: it is not installed.
    """
    try:
        import fastapi
        import uvicorn  # noqa: F401 - asked for here, so that nothing is opened in vain
    except ImportError as error:
        raise RefusedInput("no-server", "viewing needs fastapi and uvicorn: pip install 'cinecmr[view]'") from error
    return fastapi


def application(desk: Desk, port: int, token: str) -> Any:
    """The pages and what they ask for.

    Args:
        desk: the analysis that is open.
        port: that it is served on; part of the only host and origin that are let in.
        token: what every request for data must show, as `Authorization: Bearer TOKEN`.

    Returns:
        An ASGI application.
    """
    web = fastapi()
    app = web.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_Gate(web, port, token))
    for path, (name, kind) in SHELL.items():
        app.get(path)(_file(web, name, kind))
    _reading(app, web, desk)
    _changing(app, web, desk)
    return app


class _Gate:
    """Who is let in; and what every answer says of itself."""

    def __init__(self, web: Any, port: int, token: str) -> None:
        self.web, self.token = web, token
        self.hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

    async def __call__(self, request: Any, onward: Any) -> Any:
        reason = self._against(request)
        answer = self.web.responses.PlainTextResponse(reason[1], reason[0]) if reason else await onward(request)
        for key, value in HEADERS.items():
            answer.headers.setdefault(key, value)
        return answer

    def _against(self, request: Any) -> tuple[int, str] | None:
        """Status and words for one who is turned away."""
        headers, path = request.headers, request.url.path
        if headers.get("host") not in self.hosts:
            return 421, "asked under another name"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            return 403, "asked from another page"
        if request.method not in ("GET", "POST") or (request.method == "POST" and origin is None):
            return 403, "changes are asked for by this page only"
        size = headers.get("content-length")
        if request.method == "POST" and (size is None or not size.isdigit() or int(size) > MOST_BYTES):
            return 413, "too much at once"
        if path in SHELL:  # these hold no data
            return None
        shown = headers.get("authorization", "").removeprefix("Bearer ")
        if path == "/report.html":
            shown = shown or request.query_params.get("token", "")
        if not secrets.compare_digest(shown.encode(), self.token.encode()):
            return 401, "open the address that `cinecmr view` printed"
        return None


def _file(web: Any, name: str, kind: str) -> Any:
    def give() -> Any:
        return web.Response((STATIC / name).read_bytes(), media_type=kind)

    return give


def _reading(app: Any, web: Any, desk: Desk) -> None:
    @app.get("/api/study")  # type: ignore[untyped-decorator]
    def study() -> dict[str, Any]:
        return outline(desk)

    @app.get("/api/image/{z}/{t}")  # type: ignore[untyped-decorator]
    def image(z: int, t: int) -> Any:
        return _bytes(web, desk, z, t, desk.picture)

    @app.get("/api/labels/{z}/{t}")  # type: ignore[untyped-decorator]
    def labels(z: int, t: int) -> Any:
        return _bytes(web, desk, z, t, desk.plane)

    @app.get("/report.html")  # type: ignore[untyped-decorator]
    def report() -> Any:
        desk.export()
        page = (desk.out / "report.html").read_bytes()
        return web.Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": ""})


def _bytes(web: Any, desk: Desk, z: int, t: int, of: Any) -> Any:
    if not (0 <= z < desk.image.slices and 0 <= t < desk.image.frames):
        return web.responses.PlainTextResponse("no such slice or frame", 404)
    with desk.lock:
        return web.Response(np.ascontiguousarray(of(z, t)).tobytes(), media_type="application/octet-stream")


def _changing(app: Any, web: Any, desk: Desk) -> None:
    def done(change: Any) -> Any:
        try:
            change()
        except RefusedInput as refusal:
            return web.responses.JSONResponse({"code": refusal.code, "message": refusal.message}, 422)
        threading.Thread(target=desk.export, daemon=True).start()
        return state(desk)

    @app.post("/api/labels")  # type: ignore[untyped-decorator]
    def draw(one: Plane) -> Any:
        def change() -> None:
            try:
                data = np.frombuffer(base64.b64decode(one.labels, validate=True), np.uint8)
                plane = data.reshape(desk.turned.shape)
            except ValueError as error:
                raise RefusedInput("bad-edit", "the labels do not fill the plane") from error
            desk.draw(one.slice, one.frame, plane, one.tool)

        return done(change)

    @app.post("/api/frames")  # type: ignore[untyped-decorator]
    def frames(one: Frames) -> Any:
        return done(lambda: desk.choose(one.ed, one.es))

    @app.post("/api/undo")  # type: ignore[untyped-decorator]
    def undo() -> Any:
        return done(desk.undo)


def outline(desk: Desk) -> dict[str, Any]:
    """What the page needs once: the grid, the frames and the state."""
    rows, columns = desk.turned.shape
    dx, dy, _ = desk.image.spacing
    wide, high = (dy, dx) if desk.axes.swap else (dx, dy)
    return {
        "subject": desk.session.study.subject,
        "slices": [{"z": z, "acquired": z not in desk.image.missing_slices} for z in desk.order],
        "frames": desk.image.frames,
        "times": [round(1000 * float(time), 1) for time in desk.image.times],
        "rows": rows,
        "columns": columns,
        "pixel_mm": [float(wide), float(high)],
        "edges": list(desk.axes.edges),
        "box": desk.box,
        "state": state(desk),
    }


def state(desk: Desk) -> dict[str, Any]:
    """What changes with every correction: numbers, frames, curves, flags, log."""
    with desk.lock:
        found = desk.found
        numbers = []
        for name in dict.fromkeys([*found.measurements, *desk.first]):
            one, first = found.measurements.get(name), desk.first.get(name)
            unit = one.unit if one else ""
            numbers.append({
                "name": name, "title": words.title(name), "unit": words.unit(unit), "key": name in words.KEY_RESULTS,
                "value": one and one.value, "shown": words.number(one.value, unit, fine=True) if one else None,
                "first": None if first is None else words.number(first, unit, fine=True),
            })  # fmt: skip
        return {
            "numbers": numbers,
            "cycle": dict(found.cycle),
            "chosen": {"ed": desk.ed, "es": desk.es},
            "curves": {name: [float(v) if np.isfinite(v) else None for v in c] for name, c in found.curves.items()},
            "flags": [{"code": f.code, "severity": words.SEVERITY_WORDS[f.severity], "message": f.message}
                      for f in found.flags],
            "log": [_told(one) for one in desk.log],
        }  # fmt: skip


def _told(entry: dict[str, Any]) -> dict[str, Any]:
    """A line of the log without its planes."""
    return {key: value for key, value in entry.items() if entry["action"] == "frames" or key not in ("before", "after")}


def serve(desk: Desk, port: int = 0, *, ready: Any = None) -> None:
    """Serve until interrupted; what is due is written before the end.

    Args:
        desk: the analysis.
        port: 0 takes a free one.
        ready: told the address, token included, once the port is taken.

    Raises:
        RefusedInput: FastAPI is not installed, or the port is in use (`port-in-use`).
    """
    import socket

    fastapi()
    import uvicorn

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise RefusedInput(
            "port-in-use", f"port {port} is in use; choose another with --port, or leave it out"
        ) from error
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    if ready is not None:
        ready(f"http://{HOST}:{port}/#{token}")
    config = uvicorn.Config(application(desk, port, token), log_level="warning", access_log=False, ws="none")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        desk.export()
        listening.close()
