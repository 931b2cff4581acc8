// Puts the page together: what is chosen, what is drawn when it changes, and what the cursor reads.
//
//   select, legend, zoom, brush, keys ─▶ state ─▶ draw() ─▶ canvases, summary, operations
//   pointer, arrow keys ─▶ minute ─▶ readout

const state = { trace: 0, rival: 0, shown: new Set(LINES.map(({ key }) => key)), cursor: undefined };
const view = new TimeWindow(() => drawTrace());
const timeline = byId('timeline');
const map = byId('map');
const readout = byId('readout');
const cursorLines = [timeline, map].map(() => element('div', { class: 'cursor', hidden: true }));
byId('plots').append(...cursorLines);

function chosen() {
  const trace = traceAt(state.trace);
  return { trace, own: trace.scalers[0], rival: trace.scalers[state.rival], view, shown: state.shown };
}

function showTrace(name) {
  byId('trace').value = name;
  chooseTrace();
  byId('trace-title').focus();
  byId('trace-title').scrollIntoView();
}

function chooseTrace() {
  state.trace = Math.max(0, report.traces.findIndex((trace) => trace.name === byId('trace').value));
  state.rival = Math.max(0, chosen().trace.scalers.findIndex((scaler) => scaler.name === byId('rival').value));
  hideCursor();
  view.reset(chosen().trace.minutes);
  byId('zoom').replaceChildren(...zoomButtons(view));
  showLegend();
  view.changed();
}

function chooseRival() {
  state.rival = chosen().trace.scalers.findIndex((scaler) => scaler.name === byId('rival').value);
  hideCursor();
  showLegend();
  drawTrace();
}

function showLegend() {
  const { own, rival } = chosen();
  byId('legend').replaceChildren(...LINES.map(({ key, colour: name, area, dashed, text }) => {
    const box = element('input', { type: 'checkbox', id: `line-${key}`, checked: state.shown.has(key), onchange: () => {
      if (box.checked) state.shown.add(key);
      else state.shown.delete(key);
      drawTrace();
    } });
    const swatch = element('span', { class: area ? 'swatch area' : 'swatch', style: dashed ? `border-top: 2px dashed var(--${name})` : `background: var(--${name})` });
    return element('label', { for: `line-${key}` }, box, swatch, text(own.name, rival?.name));
  }));
}

let panes;
let mapPane;

function drawTrace() {
  const all = chosen();
  drawOverview(byId('overview'), all.trace, view);
  panes = drawTimeline(timeline, all);
  mapPane = drawShardMap(map, all);
  byId('trace-summary').textContent = traceText(all);
  byId('map-summary').textContent = mapText(all);
  byId('resolution').textContent = resolutionText(all.trace);
  if (byId('operations').open) showOperations();
}

/** The plots in words. A single trial has no figures in the comparison. */
function traceText({ trace, own, rival }) {
  const [least, most] = trace.demand.range(0, trace.minutes);
  const row = (scaler) => comparison.rows.find((figures) => figures.trace === trace.name && figures.scaler === scaler.name);
  const said = (scaler) => {
    const figures = row(scaler);
    if (!figures) return `${scaler.name}: ${plural(scaler.throttledMinutes, 'throttled minute')} in all.`;
    return `${scaler.name}: ${number(figures.throttled_minutes_per_day)} throttled minutes a day, ${number(figures.over_ideal, 2)} ×` +
      ` the ideal's shard-hours, at most ${plural(figures.calls_in_24h_max, 'call')} in 24 h.`;
  };
  return `Demand lies between ${number(least)} and ${number(most)} shards over ${duration(trace.minutes)}. ${said(own)}` +
    (rival && rival !== own ? ` ${said(rival)}` : '');
}

function resolutionText(trace) {
  const { every } = trace.demand;
  return every === 1
    ? 'Every minute is there.'
    : `The demand is kept as the least and the greatest of every ${every} minutes; refusals are not averaged away.`;
}

/** The operations of the view as rows; a row's time moves the cursor there. */
function showOperations() {
  const { trace, own } = chosen();
  const within = own.operations.filter(({ at, until }) => (until ?? trace.minutes) >= view.from && at <= view.to);
  const rows = within.slice(0, OPERATIONS_SHOWN_MAX).map((operation) => {
    const millis = trace.start + operation.at * 60000;
    const time = element('button', { class: 'link', type: 'button', onclick: () => pointAt(operation.at) }, `${date(millis)} ${clock(millis)}`);
    return element('tr', {},
      element('th', { scope: 'row' }, time),
      element('td', {}, operationText(operation)),
      element('td', { class: 'text' }, keysShort(operation.why?.binding ?? '')),
      element('td', { class: 'text' }, keysShort(operation.why?.insteadOf ?? '')),
      element('td', {}, String(quotaLeft(own, operation.at))),
    );
  });
  const head = ['When (UTC)', 'What', 'Binding constraint', 'Best rejected alternative', 'Calls left'];
  const table = element('table', {},
    element('caption', { class: 'note' }, `${own.name}: ${rows.length} of ${plural(within.length, 'operation')} in the part shown, splits and merges in a row as one`),
    element('thead', {}, element('tr', {}, ...head.map((title) => element('th', { scope: 'col' }, title)))),
    element('tbody', {}, ...rows),
  );
  byId('operations').querySelector('.scroll').replaceChildren(table);
}

const OPERATIONS_SHOWN_MAX = 200;
/** An operation this near to the pointer is pointed at. */
const REACH_PIXELS = 7;

function hideCursor() {
  state.cursor = undefined;
  readout.replaceChildren();
  for (const cursor of cursorLines) cursor.hidden = true;
}

/** Shows what is to be read at a minute, and if the pointer is over the map, at a part of the hash space. */
function pointAt(minute, part) {
  if (minute < view.from || minute > view.to) view.show(minute - 360, minute + 360);
  state.cursor = minute;
  const all = chosen();
  const reach = ((view.to - view.from) * REACH_PIXELS) / timeline.clientWidth;
  readout.replaceChildren(...readTimeline(all, minute, reach), ...(part === undefined ? [] : readShardMap(all, minute, part)));
  const left = timeScale(view, timeline.clientWidth)(minute);
  const spans = [[timeline, panes.load.top, panes.quota.bottom], [map, mapPane.top, mapPane.bottom]];
  spans.forEach(([canvas, top, bottom], place) => {
    const origin = offsetIn(canvas);
    cursorLines[place].hidden = false;
    cursorLines[place].style.left = `${origin.left + left}px`;
    cursorLines[place].style.top = `${origin.top + top}px`;
    cursorLines[place].style.height = `${bottom - top}px`;
  });
  placeReadout(left, part === undefined ? timeline : map);
}

/** Beside the cursor, on the side that has more room. */
function placeReadout(left, canvas) {
  const onRight = left < timeline.clientWidth / 2;
  readout.style.top = `${offsetIn(canvas).top + 10}px`;
  readout.style.left = onRight ? `${left + 14}px` : `${left - 14 - readout.offsetWidth}px`;
}

/** The next or the previous operation of the candidate. */
function stepToOperation(direction) {
  const { own } = chosen();
  const from = state.cursor ?? (direction > 0 ? view.from : view.to);
  const next = direction > 0
    ? own.operations.find(({ at }) => at > from)
    : own.operations.findLast(({ at }) => at < from);
  if (next) pointAt(next.at);
}

function moveCursor(part) {
  const length = view.to - view.from;
  const minute = (state.cursor ?? (view.from + view.to) / 2) + part * length;
  pointAt(Math.min(view.to, Math.max(view.from, minute)));
}

const KEYS = {
  ArrowLeft: (event) => moveCursor(event.shiftKey ? -0.1 : -0.01),
  ArrowRight: (event) => moveCursor(event.shiftKey ? 0.1 : 0.01),
  n: () => stepToOperation(1),
  p: () => stepToOperation(-1),
  '+': () => view.zoom(0.5, state.cursor),
  '=': () => view.zoom(0.5, state.cursor),
  '-': () => view.zoom(2, state.cursor),
  0: () => view.all(),
  Escape: () => hideCursor(),
};

function listen() {
  timeline.addEventListener('keydown', (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  for (const canvas of [timeline, map]) {
    const read = ({ offsetX, offsetY }) => {
      const part = (mapPane.bottom - offsetY) / (mapPane.bottom - mapPane.top);
      pointAt(minuteAt(view, canvas.clientWidth, offsetX), canvas === map ? part : undefined);
    };
    canvas.addEventListener('pointermove', read);
    canvas.addEventListener('pointerdown', read);
    canvas.addEventListener('pointerleave', (event) => event.pointerType === 'mouse' && hideCursor());
    brush(canvas, view, () => view);
  }
  document.addEventListener('pointerdown', ({ target }) => target !== timeline && target !== map && hideCursor());
  brush(byId('overview'), view, () => ({ from: 0, to: view.minutes }));
  byId('trace').addEventListener('change', chooseTrace);
  byId('rival').addEventListener('change', chooseRival);
  byId('operations').addEventListener('toggle', () => byId('operations').open && showOperations());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawAll());
  let width = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    hideCursor();
    drawAll();
  }).observe(document.body);
}

function drawAll() {
  showScope();
  if (report.traces.length > 0) drawTrace();
}

function showScope() {
  const { rows } = scopes()[byId('scope').selectedIndex];
  showFigures(rows);
  drawScatter(rows);
}

function start() {
  showVerdict();
  showBars(showTrace);
  byId('scope').append(...scopes().map(({ name }) => element('option', {}, name)));
  byId('scope').addEventListener('change', showScope);
  showScope();
  showMapLegend();
  if (report.traces.length === 0) {
    byId('trace-title').parentElement.hidden = true;
    return;
  }
  byId('trace').append(...report.traces.map(({ name }) => element('option', {}, name)));
  byId('trace').value = report.telling ?? report.traces[0].name;
  byId('rival').append(...report.traces[0].scalers.slice(1).map(({ name }) => element('option', {}, name)));
  byId('rival').value = report.rival;
  listen();
  chooseTrace();
}

start();
