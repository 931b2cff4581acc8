// The part of the time that is shown, shared by all plots of a trace: zoomed by dragging, by buttons and by keys.

/** From minute `from` until before `to`, of `minutes` in all. Tells `changed` whenever it changes. */
class TimeWindow {
  constructor(changed) {
    this.changed = changed;
    this.minutes = 1;
    this.from = 0;
    this.to = 1;
  }

  /** Begins with all of another trace. */
  reset(minutes) {
    this.minutes = minutes;
    this.from = 0;
    this.to = minutes;
  }

  all() {
    this.show(0, this.minutes);
  }

  /** Shows a span, moved into the trace, of at least half an hour. */
  show(from, to) {
    const length = Math.min(this.minutes, Math.max(WINDOW_MINUTES_MIN, to - from));
    const middle = (from + to) / 2;
    this.from = Math.max(0, Math.min(this.minutes - length, middle - length / 2));
    this.to = this.from + length;
    this.changed();
  }

  /** Shows `factor` times as much around `minute`, which stays where it is on the screen. */
  zoom(factor, minute = (this.from + this.to) / 2) {
    this.show(minute - (minute - this.from) * factor, minute + (this.to - minute) * factor);
  }

  /** Moves by a part of what is shown. */
  pan(part) {
    const shift = (this.to - this.from) * part;
    this.show(this.from + shift, this.to + shift);
  }
}

const WINDOW_MINUTES_MIN = 30;
/** A shorter drag is a click. */
const DRAG_PIXELS_MIN = 6;

/** Lets a drag over `canvas` choose the span that `view` shows; `whole` tells the window that the canvas itself covers. */
function brush(canvas, view, whole) {
  const mark = element('div', { class: 'brush', hidden: true });
  canvas.parentElement.append(mark);
  let begun;
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    begun = event.offsetX;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (begun === undefined) return;
    const origin = offsetIn(canvas);
    mark.hidden = Math.abs(event.offsetX - begun) < DRAG_PIXELS_MIN;
    mark.style.left = `${origin.left + Math.min(begun, event.offsetX)}px`;
    mark.style.width = `${Math.abs(event.offsetX - begun)}px`;
    mark.style.top = `${origin.top}px`;
    mark.style.height = `${canvas.clientHeight}px`;
  });
  const end = (event) => {
    if (begun !== undefined && event.type === 'pointerup' && Math.abs(event.offsetX - begun) >= DRAG_PIXELS_MIN) {
      const ends = [begun, event.offsetX].map((pixel) => minuteAt(whole(), canvas.clientWidth, pixel));
      view.show(Math.min(...ends), Math.max(...ends));
    }
    begun = undefined;
    mark.hidden = true;
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  canvas.addEventListener('dblclick', () => view.all());
}

/** Where a canvas lies within the plots. */
function offsetIn(canvas) {
  return { left: canvas.offsetLeft, top: canvas.offsetTop };
}

/** The buttons that zoom. */
function zoomButtons(view) {
  const button = (text, label, act) => element('button', { type: 'button', 'aria-label': label, onclick: act }, text);
  const span = (text, minutes) => button(text, `Show ${duration(minutes)}`, () => {
    const middle = (view.from + view.to) / 2;
    view.show(middle - minutes / 2, middle + minutes / 2);
  });
  return [
    button('All', 'Show the whole trace', () => view.all()),
    ...[['3 d', 3 * 1440], ['1 d', 1440], ['6 h', 360]]
      .filter(([, minutes]) => minutes < view.minutes)
      .map(([text, minutes]) => span(text, minutes)),
    button('◀', 'Earlier', () => view.pan(-0.5)),
    button('▶', 'Later', () => view.pan(0.5)),
    button('+', 'Zoom in', () => view.zoom(0.5)),
    button('−', 'Zoom out', () => view.zoom(2)),
  ];
}

/** The whole demand with what is shown of it. */
function drawOverview(canvas, trace, view) {
  const sheet = begin(canvas, 46);
  const { context, width } = sheet;
  const all = { from: 0, to: trace.minutes };
  const x = timeScale(all, width);
  const [, greatest] = trace.demand.range(0, trace.minutes);
  const y = (shards) => 44 - (shards / (greatest || 1)) * 40;
  drawArea(context, trace.demand, all, x, y, colour('demand-fill'));
  drawLine(context, trace.demand, all, x, y, { style: colour('demand'), width: 1 });
  context.fillStyle = colour('own');
  context.globalAlpha = 0.16;
  context.fillRect(x(view.from), 0, Math.max(2, x(view.to) - x(view.from)), 46);
  context.globalAlpha = 1;
  for (const edge of [view.from, view.to]) line(context, colour('own'), x(edge), 0, x(edge), 46);
}
