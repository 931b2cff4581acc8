// The hash space over time: a rectangle for each shard, coloured by its utilisation, minute by minute.

/** Utilisations from which the classes begin, and what the legend says. */
const LOADS = [[0, '0 to 20 %'], [0.2, '20 to 40 %'], [0.4, '40 to 60 %'], [0.6, '60 to 80 %'], [0.8, '80 to 100 %'], [1, '100 % and more']];
const COLUMN_PIXELS = 2;

function showMapLegend() {
  byId('map-legend').append(...LOADS.map(([, text], place) => {
    const swatch = element('i', { class: 'swatch', style: `background: var(--load-${place})` });
    return element('li', {}, swatch, text);
  }));
}

/** Draws the shards that are open within the view. */
function drawShardMap(canvas, { trace, view }) {
  const height = canvas.clientWidth < 600 ? 260 : 340;
  const sheet = begin(canvas, height);
  const { context, width } = sheet;
  const pane = { top: 4, bottom: height - PANES.axis };
  const x = timeScale(view, width);
  const y = (part) => pane.bottom - part * (pane.bottom - pane.top);
  const colours = LOADS.map((_, place) => colour(`load-${place}`));
  const edge = colour('page');
  const columns = demandColumns(trace, view, width, x);
  for (const shard of trace.shards) {
    if (shard.until <= view.from || shard.since >= view.to) continue;
    const [left, right] = [x(Math.max(shard.since, view.from)), x(Math.min(shard.until, view.to))];
    const [top, bottom] = [y(shard.to), y(shard.from)];
    fillShard(context, shard, { left, right, top, height: Math.max(1, bottom - top) }, columns, colours);
    if (bottom - top >= 4) line(context, edge, left, Math.round(top) + 0.5, right, Math.round(top) + 0.5);
    if (right - left >= 4 && shard.since > view.from) line(context, edge, left, top, left, bottom);
  }
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  context.fillStyle = colour('muted');
  for (const part of [0, 0.25, 0.5, 0.75, 1]) context.fillText(percent(part), MARGIN.left - 4, Math.min(pane.bottom - 5, Math.max(pane.top + 6, y(part))));
  drawTimeAxis(sheet, view, trace.start, pane.bottom, pane.bottom);
  return pane;
}

/** The greatest demand of each column of pixels. */
function demandColumns(trace, view, width, x) {
  const columns = [];
  for (let left = MARGIN.left; left < width - MARGIN.right; left += COLUMN_PIXELS) {
    const [from, to] = [left, left + COLUMN_PIXELS].map((pixel) => minuteAt(view, width, pixel));
    columns.push({ left, minute: (from + to) / 2, demand: trace.demand.range(from, to)[1] });
  }
  return columns;
}

/** Fills a shard's rectangle, neighbouring columns of one colour at once. */
function fillShard(context, shard, box, columns, colours) {
  let first = Math.max(0, Math.floor((box.left - MARGIN.left) / COLUMN_PIXELS));
  const end = Math.min(columns.length, Math.ceil((box.right - MARGIN.left) / COLUMN_PIXELS));
  while (first < end) {
    const shown = loadClass(shard, columns[first]);
    let next = first + 1;
    while (next < end && loadClass(shard, columns[next]) === shown) next += 1;
    const left = Math.max(box.left, columns[first].left);
    const right = Math.min(box.right, columns[next - 1].left + COLUMN_PIXELS);
    context.fillStyle = colours[shown];
    context.fillRect(left, box.top, Math.max(0.5, right - left), box.height);
    first = next;
  }
}

function loadClass(shard, { minute, demand }) {
  const utilisation = shareAt(shard, minute) * demand;
  return LOADS.findLastIndex(([from]) => utilisation >= from);
}

/** What is to be read at `minute` and at `part` of the hash space. */
function readShardMap({ trace }, minute, part) {
  const shard = trace.shards.find((open) => open.since <= minute && minute < open.until && open.from <= part && part < open.to);
  if (!shard) return [];
  const share = shareAt(shard, minute);
  const range = `${number(shard.from * 100, 2)} % to ${number(shard.to * 100, 2)} % of the hash space`;
  const use = `${percent(share * trace.demand.at(minute))} utilised, ${number(share * 100, 2)} % of the load`;
  return [element('p', {}, element('strong', {}, `Shard: ${range}`), element('br'), use, element('br'), `open for ${duration(shard.until - shard.since)}`)];
}

/** The map in words. */
function mapText({ trace, own }) {
  const [least, most] = own.shards.range(0, trace.minutes);
  const widths = trace.shards.map((shard) => shard.to - shard.from);
  const narrowest = Math.min(...widths);
  const every = trace.mapEvery > 1 ? ` The layout is drawn every ${trace.mapEvery} minutes.` : '';
  return `${own.name} had ${least} to ${most} shards open, ${number(trace.shards.length, 0)} in the whole time; the narrowest held` +
    ` ${narrowest > 0 ? '' : 'less than '}${number(Math.max(narrowest, 1 / report.space) * 100, 3)} % of the hash space, the widest ${number(Math.max(...widths) * 100, 1)} %.${every}`;
}
