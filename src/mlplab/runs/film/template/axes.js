"use strict";

// Axes on canvases.

// Sizes a canvas to its box, and returns its context in units of CSS pixels.
function opened(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.lineJoin = "round";
  return { context, width, height };
}

// Axes around a box, with ticks or the ends of both; returns how values become pixels.
function framed({ context, width, height }, [x0, x1], [y0, y1], names, ticks = [x0, x1], ticksY = [y0, y1]) {
  const left = 46, right = width - 8, top = 8, bottom = height - 30;
  const x = (value) => left + ((right - left) * (value - x0)) / (x1 - x0 || 1);
  const y = (value) => bottom - ((bottom - top) * (value - y0)) / (y1 - y0 || 1);
  context.strokeStyle = colour("line");
  context.strokeRect(left, top, right - left, bottom - top);
  context.fillStyle = colour("quiet");
  const { label = number, labelY = (value) => number(value, 3) } = names;
  context.textAlign = "center";
  ticks.forEach((value) => {
    const text = label(value), half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(Math.max(x(value), left + half), right - half), bottom + 13);
  });
  context.fillText(names.x, (left + right) / 2, bottom + 26);
  context.textAlign = "right";
  ticksY.forEach((value) => context.fillText(labelY(value), left - 4, Math.min(Math.max(y(value) + 4, top + 9), bottom)));
  context.save();
  context.translate(12, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(names.y, 0, 0);
  context.restore();
  return { x, y, clip() { context.save(); context.beginPath(); context.rect(left, top, right - left, bottom - top); context.clip(); } };
}

// The same without axes.
function bare({ context, width, height }, [x0, x1], [y0, y1]) {
  return { x: (value) => (width * (value - x0)) / (x1 - x0 || 1), y: (value) => height * (1 - (value - y0) / (y1 - y0 || 1)), clip: () => context.save() };
}

function line(context, points) {
  context.beginPath();
  let down = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) { down = false; continue; }
    if (down) context.lineTo(x, y); else context.moveTo(x, y);
    down = true;
  }
  context.stroke();
}
