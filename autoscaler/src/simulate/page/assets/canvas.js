// A canvas at the screen's own resolution, with the page's colours and a common margin, so that plots above each other align.

const MARGIN = { left: 44, right: 10 };
const FONT = '12px system-ui, sans-serif';

/** A colour of the style sheet, in the scheme that is on. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Makes the canvas `height` high and empty, and returns its context and width in CSS pixels. */
function begin(canvas, height) {
  canvas.style.height = `${height}px`;
  const width = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  return { context, width };
}

/** Round numbers from 0 to `greatest`, about `count` of them. */
function ticks(greatest, count) {
  const rough = greatest / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let value = 0; value <= greatest * 1.0001; value += step) found.push(value);
  return found;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440];

/** Minutes at which the time axis is marked, at the clock's round times, so many as `width` has room for. */
function timeTicks(view, start, width) {
  const room = Math.max(2, Math.floor(width / 76));
  const step = TIME_STEPS.find((minutes) => (view.to - view.from) / minutes <= room) ?? TIME_STEPS.at(-1);
  const offset = (start / 60000) % step;
  const found = [];
  for (let minute = Math.ceil((view.from + offset) / step) * step - offset; minute <= view.to; minute += step) {
    const millis = start + minute * 60000;
    const isMidnight = millis % 86400000 === 0;
    found.push({ minute, text: isMidnight ? date(millis).replace(',', '') : clock(millis) });
  }
  return found;
}

/** Draws the time axis' marks down to `bottom`, with their text below it. */
function drawTimeAxis({ context, width }, view, start, top, bottom) {
  const x = timeScale(view, width);
  context.textAlign = 'center';
  context.textBaseline = 'top';
  for (const { minute, text } of timeTicks(view, start, width - MARGIN.left - MARGIN.right)) {
    const at = Math.round(x(minute)) + 0.5;
    line(context, colour('grid'), at, top, at, bottom);
    const half = context.measureText(text).width / 2;
    if (at < half || at + half > width) continue;
    context.fillStyle = colour('muted');
    context.fillText(text, at, bottom + 5);
  }
}

/** From minutes to pixels. */
function timeScale(view, width) {
  const inner = width - MARGIN.left - MARGIN.right;
  return (minute) => MARGIN.left + ((minute - view.from) / (view.to - view.from)) * inner;
}

/** From pixels to minutes. */
function minuteAt(view, width, pixel) {
  const inner = width - MARGIN.left - MARGIN.right;
  const minute = view.from + ((pixel - MARGIN.left) / inner) * (view.to - view.from);
  return Math.min(view.to, Math.max(view.from, minute));
}

function line(context, style, x0, y0, x1, y1) {
  context.strokeStyle = style;
  context.lineWidth = 1;
  context.setLineDash([]);
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

/** The path of a step function within the view; where points are dense, the least and the greatest of each pixel. */
function stepPath(path, series, view, x, y) {
  const first = series.place(view.from);
  let column = Number.NEGATIVE_INFINITY;
  path.moveTo(x(view.from), y(series.values[first] ?? 0));
  for (let place = first; place < series.minutes.length && series.minutes[place] <= view.to; place += 1) {
    const at = x(Math.max(series.minutes[place], view.from));
    if (at - column >= 0.5) {
      column = at;
      path.lineTo(at, y(series.values[Math.max(first, place - 1)]));
    }
    path.lineTo(column, y(series.values[place]));
  }
  path.lineTo(x(view.to), y(series.at(view.to)));
}

/** A step function as a line. */
function drawLine(context, series, view, x, y, { style, width = 1.5, dash = [] }) {
  context.strokeStyle = style;
  context.lineWidth = width;
  context.lineJoin = 'round';
  context.setLineDash(dash);
  context.beginPath();
  stepPath(context, series, view, x, y);
  context.stroke();
  context.setLineDash([]);
}

/** The area below a step function. */
function drawArea(context, series, view, x, y, style) {
  context.fillStyle = style;
  context.beginPath();
  stepPath(context, series, view, x, y);
  context.lineTo(x(view.to), y(0));
  context.lineTo(x(view.from), y(0));
  context.fill();
}
