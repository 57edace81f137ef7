"use strict";
// Plays every slice of a study with its contours. Data only from the page itself; text only through textContent.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const player = at("player"), stage = at("stage"), slider = at("frame");
  const frames = data.times.length;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = {
    frame: 0, playing: false, speed: 1, grid: true, chosen: 0, contours: true, arrows: false, level: 0.5, window: 0.5,
    shown: { endo: true, epi: true, rv: true, la: true, ra: true },
  };
  let clock = 0; // position in the beat, in frames, with its fraction
  let before = null; // time of the last animation frame
  let pointed = false; // the mouse is over the player

  // ---- tiles ----
  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  function build(tile, index) {
    const button = element("button", "tile" + (tile.source ? "" : " absent"));
    button.type = "button";
    button.setAttribute("aria-label", tile.title + (tile.note ? ", " + tile.note : "") + ": enlarge or show all");
    tile.canvas = element("canvas");
    tile.canvas.style.aspectRatio = String(tile.aspect);
    button.append(tile.canvas, element("span", "title", tile.title), element("span", "note", tile.note));
    ["top", "right", "bottom", "left"].forEach((side, i) => button.append(element("span", "edge " + side, tile.edges[i])));
    button.addEventListener("click", () => { state.grid = state.chosen === index ? !state.grid : false; choose(index); });
    tile.button = button;
    tile.paths = {};
    stage.append(button);
  }

  function decode(tile) {
    return new Promise((resolve, reject) => {
      const picture = new Image();
      picture.onload = () => {
        const sheet = element("canvas");
        sheet.width = picture.width;
        sheet.height = picture.height;
        const pen = sheet.getContext("2d", { willReadFrequently: true });
        pen.drawImage(picture, 0, 0);
        const colours = pen.getImageData(0, 0, sheet.width, sheet.height).data;
        tile.grey = new Uint8Array(sheet.width * sheet.height);
        for (let i = 0; i < tile.grey.length; i++) tile.grey[i] = colours[4 * i];
        tile.stride = sheet.width;
        tile.small = element("canvas");
        tile.small.width = Math.ceil(tile.width / tile.shrink);
        tile.small.height = Math.ceil(tile.height / tile.shrink);
        tile.pixels = new ImageData(tile.small.width, tile.small.height);
        tile.words = new Uint32Array(tile.pixels.data.buffer);
        resolve();
      };
      picture.onerror = () => reject(new Error("a slice could not be decoded"));
      picture.src = tile.source;
    });
  }

  function frameOf(tile, frame) { // other views may have fewer or more frames: same share of the beat
    return tile.frames === frames ? frame : Math.min(tile.frames - 1, Math.round(frame * tile.frames / frames));
  }

  function table() { // intensity to a grey pixel, from brightness and contrast
    const middle = 127.5 * (1.5 - 2 * state.level), width = 127.5 * Math.pow(4, 0.5 - state.window);
    const value = new Uint8ClampedArray(1), words = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      value[0] = (i - middle) / width * 255 + 127.5;
      words[i] = 0xff000000 | value[0] * 0x10101; // opaque grey, on a little-endian machine as all browsers run on
    }
    return words;
  }

  function paint(tile, canvas, frame, grey, width) {
    const wide = width || Math.round(canvas.clientWidth * Math.min(2, window.devicePixelRatio || 1)) || 1;
    const high = Math.max(1, Math.round(wide / tile.aspect));
    if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
    const pen = canvas.getContext("2d"), t = frameOf(tile, frame), out = tile.words;
    const top = Math.floor(t / tile.columns) * tile.cell[1], left = t % tile.columns * tile.cell[0];
    for (let y = 0, i = 0; y < tile.small.height; y++) {
      const from = (top + y) * tile.stride + left;
      for (let x = 0; x < tile.small.width; x++) out[i++] = grey[tile.grey[from + x]];
    }
    tile.small.getContext("2d").putImageData(tile.pixels, 0, 0);
    pen.imageSmoothingQuality = state.grid && !width ? "low" : "high"; // many small pictures must keep time
    pen.drawImage(tile.small, 0, 0, wide, high);
    if (state.contours && tile.contours) outline(tile, pen, t, wide, high, width ? wide / 130 : Math.max(1.4, wide / 260));
    if (state.contours && tile.marks) marks(tile, pen, t, wide, high);
    if (state.arrows && tile.arrows) arrows(tile, pen, t, wide, high);
  }

  function marks(tile, pen, t, wide, high) { // hinges of the valves and the apex
    const u = wide / tile.width / data.coordinate, v = high / tile.height / data.coordinate, half = data.coordinate / 2;
    const at = tile.marks[t] || [], size = Math.max(2, wide / 90);
    pen.beginPath();
    for (let i = 0; i < at.length; i += 2) {
      const x = (at[i] + half) * u, y = (at[i + 1] + half) * v;
      pen.moveTo(x - size, y);
      pen.lineTo(x + size, y);
      pen.moveTo(x, y - size);
      pen.lineTo(x, y + size);
    }
    pen.lineWidth = Math.max(1.2, wide / 260);
    pen.strokeStyle = "#fff05a";
    pen.stroke();
  }

  function arrows(tile, pen, t, wide, high) { // from where muscle was at end-diastole to where it is
    const u = wide / tile.width / data.coordinate, v = high / tile.height / data.coordinate, half = data.coordinate / 2;
    const from = tile.arrows.from, by = tile.arrows.by[t] || [], tip = Math.max(2, wide / 110);
    pen.beginPath();
    for (let i = 0; i < by.length; i += 2) {
      const x = (from[i] + half) * u, y = (from[i + 1] + half) * v, dx = by[i] * u, dy = by[i + 1] * v, size = Math.hypot(dx, dy);
      if (size < 1) continue;
      pen.moveTo(x, y);
      pen.lineTo(x + dx, y + dy);
      for (const turn of [2.6, -2.6]) {
        const c = Math.cos(turn) * tip / size, s = Math.sin(turn) * tip / size;
        pen.moveTo(x + dx, y + dy);
        pen.lineTo(x + dx + c * dx - s * dy, y + dy + s * dx + c * dy);
      }
    }
    pen.lineWidth = Math.max(1, wide / 320);
    pen.strokeStyle = "#fff05a";
    pen.stroke();
  }

  function outline(tile, pen, t, wide, high, line) {
    const scale = wide / tile.width;
    pen.lineJoin = "round";
    for (const name of Object.keys(tile.contours)) {
      if (!state.shown[name]) continue;
      pen.save();
      pen.scale(scale, high / tile.height);
      const path = pathOf(tile, name, t);
      pen.lineWidth = line / scale;
      pen.strokeStyle = data.colours[name];
      pen.stroke(path);
      pen.restore();
    }
  }

  function pathOf(tile, name, t) {
    const key = name + t;
    if (tile.paths[key]) return tile.paths[key];
    const path = new Path2D(), unit = data.coordinate;
    for (const line of tile.contours[name][t] || []) {
      let x = line[0], y = line[1];
      path.moveTo(x / unit + 0.5, y / unit + 0.5);
      for (let i = 2; i < line.length; i += 2) path.lineTo((x += line[i]) / unit + 0.5, (y += line[i + 1]) / unit + 0.5);
      path.closePath();
    }
    return (tile.paths[key] = path);
  }

  // ---- what is shown ----
  function draw() {
    const grey = table();
    data.tiles.forEach((tile, i) => { if (tile.grey && (state.grid || i === state.chosen)) paint(tile, tile.canvas, state.frame, grey); });
    slider.value = state.frame;
    const event = data.events.find((one) => one.frame === state.frame);
    at("clock").textContent = "frame " + state.frame + " of 0–" + (frames - 1) + ", " + Math.round(data.times[state.frame]) + " ms";
    at("where").textContent = [state.grid ? "all slices" : data.tiles[state.chosen] && data.tiles[state.chosen].title,
      event && event.name].filter(Boolean).join(", ");
    at("events").querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", String(Number(one.dataset.frame) === state.frame)));
    cursor();
    Object.assign(player.dataset, { frame: state.frame, slice: state.chosen, grid: state.grid, contours: state.contours, playing: state.playing });
  }

  function cursor() {
    const line = at("cursor");
    if (!line) return;
    const { x0, x1 } = line.ownerSVGElement.dataset, [first, last] = [data.times[0], data.times[frames - 1]];
    const x = Number(x0) + (data.times[state.frame] - first) / (last - first || 1) * (x1 - x0);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  }

  function choose(index) {
    state.chosen = Math.min(data.tiles.length - 1, Math.max(0, index));
    stage.classList.toggle("one", !state.grid);
    const focused = stage.contains(document.activeElement);
    data.tiles.forEach((tile, i) => tile.button.classList.toggle("chosen", i === state.chosen));
    if (focused && !state.grid) data.tiles[state.chosen].button.focus({ preventScroll: true }); // its button may vanish
    at("turn").hidden = state.grid;
    at("grid").setAttribute("aria-pressed", String(state.grid));
    at("single").setAttribute("aria-pressed", String(!state.grid));
    draw();
  }

  function go(frame) {
    state.frame = clock = (frame + frames) % frames;
    draw();
  }

  function play(on) {
    state.playing = on && frames > 1;
    at("play").textContent = state.playing ? "Pause" : "Play";
    at("play").setAttribute("aria-pressed", String(state.playing));
    before = null;
    if (state.playing) window.requestAnimationFrame(tick);
    draw();
  }

  function tick(now) {
    if (!state.playing) return;
    if (before !== null) clock = (clock + Math.min(now - before, 200) * state.speed * frames / data.period) % frames;
    before = now;
    if (Math.floor(clock) !== state.frame) { state.frame = Math.floor(clock); draw(); }
    window.requestAnimationFrame(tick);
  }

  function toggleContours() {
    state.contours = !state.contours;
    at("contours").setAttribute("aria-pressed", String(state.contours));
    draw();
  }

  function toggleArrows() {
    if (!at("arrows")) return;
    state.arrows = !state.arrows;
    at("arrows").setAttribute("aria-pressed", String(state.arrows));
    draw();
  }

  function goTo(phase) {
    const event = data.events.find((one) => one.phase === phase);
    if (event) { play(false); go(event.frame); }
  }

  // ---- mouse, keyboard ----
  const keys = {
    " ": () => play(!state.playing),
    ArrowLeft: () => { play(false); go(state.frame - 1); },
    ArrowRight: () => { play(false); go(state.frame + 1); },
    ArrowUp: () => choose(state.chosen - 1),
    ArrowDown: () => choose(state.chosen + 1),
    c: toggleContours,
    m: toggleArrows,
    g: () => { state.grid = !state.grid; choose(state.chosen); },
    d: () => goTo("ED"),
    s: () => goTo("ES"),
    Escape: () => { state.grid = true; choose(state.chosen); },
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(pointed || player.contains(document.activeElement))) return;
    const inside = event.target.closest ? event.target.closest("input, select, button") : null;
    const own = inside && (inside.matches("select, input") || (event.key === " " && !inside.matches(".tile")));
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (own || !action) return; // a slider keeps its arrows, a button its space bar
    event.preventDefault();
    action();
  }

  function wire() {
    document.addEventListener("keydown", onKey);
    // Firefox clicks a focused button when the space bar comes up.
    stage.addEventListener("keyup", (event) => { if (event.key === " ") event.preventDefault(); });
    player.addEventListener("pointerenter", () => { pointed = true; });
    player.addEventListener("pointerleave", () => { pointed = false; });
    at("play").addEventListener("click", () => play(!state.playing));
    slider.addEventListener("input", () => {
      const wanted = Number(slider.value); // pausing draws, which sets the slider
      play(false);
      go(wanted);
    });
    at("speed").addEventListener("change", (event) => { state.speed = Number(event.target.value); });
    at("grid").addEventListener("click", () => { state.grid = true; choose(state.chosen); });
    at("single").addEventListener("click", () => { state.grid = false; choose(state.chosen); });
    at("up").addEventListener("click", () => choose(state.chosen - 1));
    at("down").addEventListener("click", () => choose(state.chosen + 1));
    at("contours").addEventListener("click", toggleContours);
    if (at("arrows")) at("arrows").addEventListener("click", toggleArrows);
    player.querySelectorAll("[data-contour]").forEach((box) => box.addEventListener("change", () => { state.shown[box.dataset.contour] = box.checked; draw(); }));
    for (const name of ["level", "window"]) at(name).addEventListener("input", (event) => { state[name] = event.target.value / 100; draw(); });
    at("reset").addEventListener("click", () => { state.level = state.window = 0.5; at("level").value = at("window").value = 50; draw(); });
    const chart = document.querySelector("svg.curves");
    if (chart) chart.addEventListener("click", (event) => {
      const box = chart.getBoundingClientRect(), { x0, x1 } = chart.dataset;
      const share = ((event.clientX - box.left) / box.width * chart.viewBox.baseVal.width - x0) / (x1 - x0);
      const time = data.times[0] + share * (data.times[frames - 1] - data.times[0]);
      play(false);
      go(data.times.reduce((best, one, i) => Math.abs(one - time) < Math.abs(data.times[best] - time) ? i : best, 0));
    });
    window.addEventListener("resize", draw);
  }

  // ---- paper: every slice at ED and ES instead of the player ----
  function sheet() {
    const grey = table();
    for (const event of data.events) {
      const row = element("div", "thumbs");
      for (const tile of data.tiles.filter((one) => one.view === "sax")) {
        const figure = element("figure"), canvas = element("canvas");
        canvas.style.aspectRatio = String(tile.aspect);
        figure.append(canvas, element("figcaption", "", tile.title + (tile.note ? ", " + tile.note : "")));
        row.append(figure);
        if (tile.grey) paint(tile, canvas, event.frame, grey, 360); // not laid out on the screen: has no width yet
      }
      at("sheet").append(element("h3", "", event.name[0].toUpperCase() + event.name.slice(1) + ", frame " + event.frame), row);
    }
  }

  function events() {
    for (const event of data.events) {
      const button = element("button", "", event.title);
      button.type = "button";
      button.title = "Go to " + event.name + ", frame " + event.frame;
      button.dataset.frame = event.frame;
      button.addEventListener("click", () => { play(false); go(event.frame); });
      at("events").append(button);
    }
  }

  slider.max = frames - 1;
  data.tiles.forEach(build);
  if (!data.tiles.length) stage.append(element("p", "nothing", "No images to show."));
  events();
  wire();
  Promise.all(data.tiles.filter((tile) => tile.source).map(decode)).then(() => {
    const first = data.events.find((one) => one.phase === "ED");
    choose(Math.floor(data.tiles.filter((tile) => tile.view === "sax").length / 2));
    go(first ? first.frame : 0);
    sheet();
    play(!still && frames > 4); // two or three frames only flicker
    player.dataset.ready = "yes";
  }).catch((error) => {
    stage.replaceChildren(element("p", "nothing", "The images could not be shown: " + error.message));
    player.dataset.ready = "failed";
  });
})();
