"use strict";
// The desk: pictures and labels from the server of this computer, changes back to it. Text only through textContent.
(function () {
  const at = (id) => document.getElementById(id);
  const { CODE, mask, trace, nearest, pull, moved, dab } = window.draw;
  const COLOURS = { endo: "#ffa726", epi: "#38d6a4", rv: "#6cb8ff" };
  const PAINTS = { endo: CODE.lv, epi: CODE.myo, rv: CODE.rv };
  const REACH_MM = 14; // of a border follows where it is pulled
  const GRAB = 14; // screen pixels from a border that still grab it
  const page = at("desk"), canvas = at("picture"), pen = canvas.getContext("2d");
  const small = document.createElement("canvas");
  const view = { frame: 0, row: 0, tool: "drag", border: "endo", contours: true };
  let study = null, grey = null, plane = null, window_ = null, held = null, busy = 0, asked = 0;

  // ---- the server ----
  if (location.hash.length > 1) {
    sessionStorage.setItem("token", location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
  const token = sessionStorage.getItem("token") || "";

  async function ask(path, body) {
    const options = { headers: { Authorization: "Bearer " + token } };
    if (body !== undefined) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    if (answer.status === 422) throw new Error((await answer.json()).message || "this cannot be done");
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  }

  function tell(text, bad) {
    at("told").textContent = text;
    at("told").classList.toggle("bad", Boolean(bad));
  }

  async function change(path, body, said) {
    busy++;
    page.dataset.busy = "yes";
    try {
      show(await (await ask(path, body)).json());
      tell(said);
    } catch (error) {
      tell(error.message, true);
      await load();
    } finally {
      if (--busy === 0) page.dataset.busy = "no";
    }
  }

  // ---- one plane ----
  const slice = () => study.slices[view.row];

  async function load() {
    const mine = ++asked, { z, acquired } = slice();
    const [picture, labels] = acquired
      ? await Promise.all(["image", "labels"].map(async (what) =>
        new Uint8Array(await (await ask(`/api/${what}/${z}/${view.frame}`)).arrayBuffer())))
      : [new Uint8Array(study.rows * study.columns), null];
    if (mine !== asked) return; // another plane was asked for meanwhile
    [grey, plane, held] = [picture, labels, null];
    develop();
    paint();
    label();
  }

  function develop() { // the grey picture, once for each plane and brightness
    small.width = study.columns;
    small.height = study.rows;
    const data = new ImageData(study.columns, study.rows), gain = at("level").value / 100;
    for (let i = 0; i < grey.length; i++) {
      const value = Math.min(255, grey[i] * gain);
      data.data.set([value, value, value, 255], 4 * i);
    }
    small.getContext("2d").putImageData(data, 0, 0);
  }

  function fit() { // the part of the plane that is shown, around the heart
    const wide = Math.max(1, Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)));
    const high = Math.max(1, Math.round(canvas.clientHeight * (window.devicePixelRatio || 1)));
    if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
    const [dx, dy] = study.pixel_mm, [left, top, right, bottom] = study.box;
    const mm = Math.min(wide / ((right - left) * dx), high / ((bottom - top) * dy)); // screen pixels a mm
    window_ = { sx: mm * dx, sy: mm * dy, x0: (left + right) / 2 - wide / (2 * mm * dx), y0: (top + bottom) / 2 - high / (2 * mm * dy) };
  }

  function paint() {
    fit();
    const { sx, sy, x0, y0 } = window_;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, -x0 * sx, -y0 * sy, study.columns * sx, study.rows * sy);
    if (plane && view.contours) for (const border of ["epi", "endo", "rv"]) outline(border);
    if (!plane) { pen.fillStyle = "#c3cdd8"; pen.font = "16px sans-serif"; pen.fillText("not acquired", 20, 30); }
  }

  function outline(border) {
    const lines = held && held.line && held.border === border
      ? held.lines.map((line, i) => (i === held.which ? held.line : line))
      : trace(mask(plane, border), study.columns, study.rows);
    const { sx, sy, x0, y0 } = window_;
    pen.strokeStyle = COLOURS[border];
    pen.lineWidth = (border === view.border ? 2.6 : 1.5) * (window.devicePixelRatio || 1);
    for (const line of lines) {
      pen.beginPath();
      line.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"]((x - x0) * sx, (y - y0) * sy));
      pen.closePath();
      pen.stroke();
    }
  }

  // ---- the hand ----
  function place(event) {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    return [(event.clientX - box.left) * ratio / window_.sx + window_.x0, (event.clientY - box.top) * ratio / window_.sy + window_.y0];
  }

  function down(event) {
    if (event.button !== 0 || !plane) return;
    canvas.focus();
    const [x, y] = place(event);
    if (view.tool === "drag") {
      const lines = trace(mask(plane, view.border), study.columns, study.rows);
      const near = nearest(lines, x, y, GRAB * (window.devicePixelRatio || 1) / window_.sx);
      if (!near) return tell("No such border here: go nearer to it, or paint one.");
      held = { ...near, lines, border: view.border, x, y, line: lines[near.which] };
    } else {
      held = { before: plane, x, y };
      plane = plane.slice();
      stroke(x, y);
    }
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  function move(event) {
    if (!held) return;
    const [x, y] = place(event);
    if (held.lines) held.line = pull(held.lines[held.which], held.index, x - held.x, y - held.y, REACH_MM / study.pixel_mm[0]);
    else stroke(x, y);
    paint();
  }

  function stroke(x, y) {
    const code = view.tool === "erase" ? CODE.none : PAINTS[view.border];
    const radius = at("brush").value / study.pixel_mm[0], steps = Math.max(1, Math.ceil(Math.hypot(x - held.x, y - held.y) / (radius / 2)));
    for (let i = 1; i <= steps; i++) dab(plane, held.x + (x - held.x) * i / steps, held.y + (y - held.y) * i / steps, radius, code,
      study.columns, study.rows, study.pixel_mm[1] / study.pixel_mm[0]);
    [held.x, held.y] = [x, y];
    paint();
  }

  function up() {
    if (!held) return;
    const one = held;
    held = null;
    if (one.lines) plane = moved(plane, one.border, one.lines[one.which], one.line, study.columns, study.rows);
    paint();
    const tool = one.lines ? `drag ${one.border}` : view.tool === "erase" ? "erase" : `paint ${view.border}`;
    let text = "";
    for (const code of plane) text += String.fromCharCode(code);
    change("/api/labels", { slice: slice().z, frame: view.frame, tool, labels: btoa(text) }, `Written: ${tool}, slice ${slice().z}, frame ${view.frame}.`);
  }

  // ---- what follows ----
  function made(name, text, className) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function show(state) {
    study.state = state;
    at("numbers").tBodies[0].replaceChildren(...state.numbers.map((one) => {
      const row = made("tr", undefined, (one.key ? "key " : "") + (one.first !== one.shown ? "changed" : ""));
      row.dataset.name = one.name;
      row.append(made("td", one.title), made("td", one.first === null ? "–" : one.first), made("td", one.shown === null ? "withheld" : one.shown), made("td", one.unit, "unit"));
      return row;
    }));
    at("flags").replaceChildren(...state.flags.map((one) => made("li", `${one.severity}: ${one.message} (${one.code})`)));
    at("log").replaceChildren(...state.log.slice().reverse().map(entry));
    at("undo").disabled = !state.log.length;
    label();
    chart();
    page.dataset.changes = state.log.length;
  }

  function entry(one) {
    const what = one.action === "labels" ? `${one.tool}, slice ${one.slice}, frame ${one.frame}, ${one.pixels} pixels`
      : one.action === "undo" ? `change ${one.of} taken back` : `ED ${one.after[0] ?? "by curve"}, ES ${one.after[1] ?? "by curve"}`;
    const ef = one.measurements.LVEF, told = ef && ef[0] !== null && ef[1] !== null ? `; LVEF ${ef[0].toFixed(1)} → ${ef[1].toFixed(1)} %` : "";
    return made("li", `${one.n}. ${one.at.replace("T", " ").slice(0, 16)} ${one.reader || ""} ${what}${told}`);
  }

  function label() {
    const { z, acquired } = slice(), cycle = study.state.cycle;
    const names = Object.keys(cycle).filter((name) => cycle[name] === view.frame).map((name) => name.replace("_", " "));
    at("where-frame").textContent = `${view.frame} of 0–${study.frames - 1}, ${Math.round(study.times[view.frame])} ms${names.length ? ", " + names.join(", ") : ""}`;
    at("where-slice").textContent = `slice ${z}${acquired ? "" : ", not acquired"} (base to apex: ${view.row + 1} of ${study.slices.length})`;
    at("frame").value = view.frame;
    at("slice").value = view.row;
    for (const [group, chosen] of [["tool", view.tool], ["border", view.border]]) {
      document.querySelectorAll(`[data-${group}]`).forEach((one) => {
        one.setAttribute("role", "radio");
        one.setAttribute("aria-checked", String(one.dataset[group] === chosen));
      });
    }
    Object.assign(page.dataset, { frame: view.frame, slice: z, tool: view.tool, border: view.border });
  }

  function svg(name, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  }

  function chart() {
    const { curves, cycle } = study.state, times = study.times, last = times[times.length - 1] || 1;
    const most = Math.max(1, ...Object.values(curves).flat().filter((v) => v !== null)) * 1.08;
    const x = (t) => 34 + t / last * 370, y = (v) => 170 - v / most * 155, parts = [];
    for (const share of [0, 0.5, 1]) {
      const value = Math.round(most / 1.08 * share);
      parts.push(svg("line", { class: "axis", x1: 34, x2: 404, y1: y(value), y2: y(value) }), svg("text", { x: 30, y: y(value) + 4, "text-anchor": "end" }, String(value)));
    }
    parts.push(svg("line", { class: "now", x1: x(times[view.frame]), x2: x(times[view.frame]), y1: 12, y2: 172 }));
    for (const [name, curve] of Object.entries(curves)) {
      const points = curve.map((v, i) => (v === null ? null : `${x(times[i]).toFixed(1)},${y(v).toFixed(1)}`)).filter(Boolean).join(" ");
      parts.push(svg("polyline", { class: "line-" + name.toLowerCase(), points }));
      for (const phase of ["ED", "ES"]) {
        const frame = cycle[`${name}_${phase}`];
        if (frame === undefined || curve[frame] === null) continue;
        parts.push(svg("circle", { class: "mark", cx: x(times[frame]), cy: y(curve[frame]), r: 4 }), svg("text", { x: x(times[frame]) + 6, y: y(curve[frame]) - 6 }, `${name} ${phase}`));
      }
    }
    at("chart").replaceChildren(...parts);
  }

  function go(frame, row) {
    view.frame = (frame + study.frames) % study.frames;
    view.row = Math.min(study.slices.length - 1, Math.max(0, row));
    label();
    chart();
    load().catch((error) => tell(error.message, true));
  }

  // ---- wiring ----
  const keys = {
    ArrowLeft: () => go(view.frame - 1, view.row), ArrowRight: () => go(view.frame + 1, view.row),
    ArrowUp: () => go(view.frame, view.row - 1), ArrowDown: () => go(view.frame, view.row + 1),
    1: () => choose("tool", "drag"), 2: () => choose("tool", "paint"), 3: () => choose("tool", "erase"),
    q: () => choose("border", "endo"), w: () => choose("border", "epi"), e: () => choose("border", "rv"),
    c: () => { at("shown").checked = view.contours = !view.contours; paint(); },
  };

  function choose(what, value) {
    view[what] = value;
    label();
    paint();
  }

  function onKey(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") { event.preventDefault(); return undo(); }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  async function undo() {
    await change("/api/undo", {}, "Taken back.");
    await load();
  }

  function frames(ed, es) {
    return change("/api/frames", { ed, es }, "ED and ES chosen; all numbers follow.");
  }

  function wire() {
    document.addEventListener("keydown", onKey);
    canvas.addEventListener("pointerdown", down);
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", () => { held = null; load(); });
    document.querySelectorAll("[data-tool]").forEach((one) => one.addEventListener("click", () => choose("tool", one.dataset.tool)));
    document.querySelectorAll("[data-border]").forEach((one) => one.addEventListener("click", () => choose("border", one.dataset.border)));
    at("frame").addEventListener("input", (event) => go(Number(event.target.value), view.row));
    at("slice").addEventListener("input", (event) => go(view.frame, Number(event.target.value)));
    at("level").addEventListener("input", () => { develop(); paint(); });
    at("shown").addEventListener("change", (event) => { view.contours = event.target.checked; paint(); });
    at("undo").addEventListener("click", undo);
    for (const [id, name] of [["go-ed", "LV_ED"], ["go-es", "LV_ES"]]) at(id).addEventListener("click", () => { if (name in study.state.cycle) go(study.state.cycle[name], view.row); });
    at("is-ed").addEventListener("click", () => frames(view.frame, study.state.chosen.es));
    at("is-es").addEventListener("click", () => frames(study.state.chosen.ed, view.frame));
    at("automatic").addEventListener("click", () => frames(null, null));
    window.addEventListener("resize", paint);
  }

  async function open() {
    study = await (await ask("/api/study")).json();
    at("subject").textContent = study.subject;
    at("report").href = "/report.html?token=" + encodeURIComponent(token);
    at("frame").max = study.frames - 1;
    at("slice").max = study.slices.length - 1;
    view.frame = study.state.cycle.LV_ED ?? 0;
    view.row = Math.floor(study.slices.length / 2);
    show(study.state);
    wire();
    await load();
    page.dataset.busy = "no";
    page.dataset.ready = "yes";
  }

  open().catch((error) => { tell(error.message, true); page.dataset.ready = "failed"; });
})();
