"use strict";
// Borders of labels as lines that can be pulled, and what pulling or painting does to the labels. No page, no network.
(function (root) {
  const CODE = { none: 0, rv: 1, myo: 2, lv: 3 };
  const INSIDE = { // what lies within each border
    endo: (code) => code === CODE.lv,
    epi: (code) => code === CODE.lv || code === CODE.myo,
    rv: (code) => code === CODE.rv,
  };

  function mask(plane, border) {
    return plane.map((code) => (INSIDE[border](code) ? 1 : 0));
  }

  // Closed lines around the inside: [[x, y], ...] in pixels, a pixel reaching from its index to the next.
  function trace(inside, width, height) {
    const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : inside[y * width + x]);
    const onward = new Map();
    const step = (x0, y0, x1, y1) => {
      const key = y0 * (width + 1) + x0;
      if (!onward.has(key)) onward.set(key, []);
      onward.get(key).push([x1, y1]);
    };
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      if (!at(x, y)) continue;
      if (!at(x, y - 1)) step(x, y, x + 1, y);
      if (!at(x + 1, y)) step(x + 1, y, x + 1, y + 1);
      if (!at(x, y + 1)) step(x + 1, y + 1, x, y + 1);
      if (!at(x - 1, y)) step(x, y + 1, x, y);
    }
    const lines = [];
    for (const [start, ends] of onward) while (ends.length) {
      const line = [];
      let x = start % (width + 1), y = Math.floor(start / (width + 1));
      for (;;) {
        const next = onward.get(y * (width + 1) + x);
        if (!next || !next.length) break;
        const [nx, ny] = next.pop();
        line.push([(x + nx) / 2, (y + ny) / 2]); // middles of the stairs lie on a smoother line than their corners
        [x, y] = [nx, ny];
      }
      lines.push(smooth(line));
    }
    return lines;
  }

  function smooth(line) {
    const n = line.length;
    if (n < 8) return line;
    return line.map((_, i) => {
      const sum = [0, 0];
      for (let d = -2; d <= 2; d++) { const p = line[(i + d + n) % n]; sum[0] += p[0]; sum[1] += p[1]; }
      return [sum[0] / 5, sum[1] / 5];
    });
  }

  // The line and its point nearest to a place, or null where none is within reach.
  function nearest(lines, x, y, reach) {
    let best = null;
    lines.forEach((line, which) => line.forEach(([px, py], index) => {
      const far = Math.hypot(px - x, py - y);
      if (far <= reach && (!best || far < best.far)) best = { which, index, far };
    }));
    return best;
  }

  // Pull a line at one of its points; its neighbours follow the less, the further along the line they are.
  function pull(line, index, dx, dy, reach) {
    const n = line.length, along = new Float64Array(n);
    const length = (i, j) => Math.hypot(line[i][0] - line[j][0], line[i][1] - line[j][1]);
    let before = 0, after = 0;
    for (let d = 1; d <= n >> 1; d++) {
      const right = (index + d) % n, left = (index - d + n) % n;
      after += length(right, (right - 1 + n) % n);
      before += length(left, (left + 1) % n);
      along[right] = after;
      along[left] = d === n / 2 ? Math.min(before, after) : before;
    }
    return line.map(([x, y], i) => {
      const share = Math.exp(-((along[i] / reach) ** 2) / 2);
      return [x + share * dx, y + share * dy];
    });
  }

  // Pixels whose middle lies within a closed line.
  function fill(line, width, height) {
    const inside = new Uint8Array(width * height), n = line.length;
    for (let y = 0; y < height; y++) {
      const cuts = [];
      for (let i = 0; i < n; i++) {
        const [ax, ay] = line[i], [bx, by] = line[(i + 1) % n], middle = y + 0.5;
        if (ay <= middle !== by <= middle) cuts.push(ax + (middle - ay) / (by - ay) * (bx - ax));
      }
      cuts.sort((a, b) => a - b);
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        const from = Math.max(0, Math.ceil(cuts[k] - 0.5)), to = Math.min(width - 1, Math.ceil(cuts[k + 1] - 0.5) - 1);
        for (let x = from; x <= to; x++) inside[y * width + x] = 1;
      }
    }
    return inside;
  }

  // Labels after a border moved: only pixels between the old line and the new one change.
  function moved(plane, border, old, now, width, height) {
    const was = fill(old, width, height), is = fill(now, width, height), made = plane.slice();
    for (let i = 0; i < made.length; i++) {
      if (was[i] === is[i]) continue;
      const code = made[i], in_ = is[i] === 1;
      if (border === "endo") made[i] = in_ ? CODE.lv : code === CODE.lv ? CODE.myo : code;
      else if (border === "epi") made[i] = in_ ? (code === CODE.lv ? code : CODE.myo) : code === CODE.rv ? code : CODE.none;
      else if (in_) made[i] = code === CODE.none ? CODE.rv : code;
      else made[i] = code === CODE.rv ? CODE.none : code;
    }
    return made;
  }

  // Paint a disc of radius pixels along a stroke; `high` is the height of a pixel in widths of one.
  function dab(plane, x, y, radius, code, width, height, high) {
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
      if (Math.hypot(column + 0.5 - x, (row + 0.5 - y) * high) <= radius) plane[row * width + column] = code;
    }
  }

  root.draw = { CODE, mask, trace, nearest, pull, fill, moved, dab };
})(typeof module === "undefined" ? window : module.exports);
