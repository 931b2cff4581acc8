// Demand, capacities, refused minutes, operations and the quota on one time axis, and what the cursor points at.
//
//   pane        shows                                             of
//   load        demand, busiest second, capacity, ideal           candidate, rival, ideal
//   refused     minutes in which records were refused             candidate, rival
//   operations  calls: up, down, reshaped                         candidate, rival
//   quota       UpdateShardCount calls left in 24 h               candidate, rival

const LINES = [
  { key: 'demand', colour: 'demand-fill', area: true, text: () => 'demand, accepted and refused' },
  { key: 'peak', colour: 'peak-fill', area: true, text: () => 'busiest second' },
  { key: 'own', colour: 'own', text: (own) => `${own} can carry` },
  { key: 'rival', colour: 'rival', text: (own, rival) => `${rival} can carry` },
  { key: 'ideal', colour: 'ideal', dashed: true, text: () => 'clairvoyant ideal' },
];

const PANES = { load: 250, caption: 18, lane: 12, marks: 18, quota: 44, gap: 6, axis: 22 };

/** Where each pane begins and ends. */
function layPanes(height) {
  const panes = {};
  let top = 6;
  const add = (name, size, captioned) => {
    if (captioned) top += PANES.caption;
    panes[name] = { top, bottom: top + size };
    top += size + PANES.gap;
  };
  add('load', height, false);
  add('ownRefused', PANES.lane, true);
  add('rivalRefused', PANES.lane, true);
  add('ownMarks', PANES.marks, true);
  add('rivalMarks', PANES.marks, true);
  add('quota', PANES.quota, true);
  panes.height = top + PANES.axis;
  return panes;
}

/** Draws the timeline. `shown` holds the keys of the lines that are on. */
function drawTimeline(canvas, { trace, own, rival, view, shown }) {
  const panes = layPanes(canvas.clientWidth < 600 ? PANES.load - 40 : PANES.load);
  const sheet = begin(canvas, panes.height);
  const x = timeScale(view, sheet.width);
  drawTimeAxis(sheet, view, trace.start, panes.load.top, panes.quota.bottom);
  drawLoadAxis(sheet, panes.load, greatestLoad({ trace, own, rival, view, shown }));
  sheet.context.save();
  sheet.context.beginPath();
  sheet.context.rect(MARGIN.left, 0, sheet.width - MARGIN.left - MARGIN.right, panes.height);
  sheet.context.clip();
  drawLoad(sheet, panes.load, { trace, own, rival, view, shown, x });
  for (const [scaler, pane, style] of [[own, panes.ownRefused, 'own'], [rival, panes.rivalRefused, 'rival']]) {
    if (scaler) drawRefused(sheet, pane, scaler, view, x, style);
  }
  for (const [scaler, pane, style] of [[own, panes.ownMarks, 'own'], [rival, panes.rivalMarks, 'rival']]) {
    if (scaler) drawMarks(sheet, pane, scaler, view, x, style);
  }
  sheet.context.restore();
  drawQuota(sheet, panes.quota, [[rival, 'rival'], [own, 'own']], view, x);
  return panes;
}

function greatestLoad({ trace, own, rival, view, shown }) {
  const lines = { demand: trace.demand, peak: trace.peak, own: own.capacity, rival: rival?.capacity, ideal: trace.ideal };
  const tops = Object.entries(lines).filter(([key, series]) => series && shown.has(key));
  return Math.max(1, ...tops.map(([, series]) => series.range(view.from, view.to)[1])) * 1.05;
}

function loadScale(pane, greatest) {
  return (shards) => pane.bottom - (shards / greatest) * (pane.bottom - pane.top);
}

function drawLoadAxis({ context, width }, pane, greatest) {
  const y = loadScale(pane, greatest);
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (const value of ticks(greatest, 5)) {
    const at = Math.round(y(value)) + 0.5;
    line(context, colour(value === 0 ? 'line' : 'grid'), MARGIN.left, at, width - MARGIN.right, at);
    context.fillStyle = colour('muted');
    context.fillText(number(value), MARGIN.left - 6, at);
  }
}

function drawLoad({ context }, pane, { trace, own, rival, view, shown, x }) {
  const y = loadScale(pane, greatestLoad({ trace, own, rival, view, shown }));
  if (shown.has('peak')) drawArea(context, trace.peak, view, x, y, colour('peak-fill'));
  if (shown.has('demand')) {
    drawArea(context, trace.demand, view, x, y, colour('demand-fill'));
    drawLine(context, trace.demand, view, x, y, { style: colour('demand'), width: 1 });
  }
  context.fillStyle = colour('refused-fill');
  for (const [from, to] of own.throttled) {
    if (to >= view.from && from <= view.to) context.fillRect(x(from), pane.top, Math.max(1, x(to) - x(from)), pane.bottom - pane.top);
  }
  if (shown.has('ideal')) drawLine(context, trace.ideal, view, x, y, { style: colour('ideal'), width: 1.5, dash: [5, 3] });
  if (shown.has('rival') && rival) drawLine(context, rival.capacity, view, x, y, { style: colour('rival') });
  if (shown.has('own')) drawLine(context, own.capacity, view, x, y, { style: colour('own'), width: 2 });
}

function caption({ context }, pane, text, style) {
  context.fillStyle = colour(style);
  context.textAlign = 'left';
  context.textBaseline = 'bottom';
  context.fillText(text, MARGIN.left, pane.top - 3);
}

function drawRefused(sheet, pane, scaler, view, x, style) {
  const { context, width } = sheet;
  caption(sheet, pane, `${scaler.name}: throttled ${plural(scaler.throttledMinutes, 'minute')}`, style);
  context.fillStyle = colour('grid');
  context.fillRect(MARGIN.left, pane.top, width - MARGIN.left - MARGIN.right, pane.bottom - pane.top);
  context.fillStyle = colour('refused');
  for (const [from, to] of scaler.throttled) {
    if (to >= view.from && from <= view.to) context.fillRect(x(from), pane.top, Math.max(1.5, x(to) - x(from)), pane.bottom - pane.top);
  }
}

/** Each call as a triangle that points up or down, or as a rhomb if the count stays; a bar as long as it takes. */
function drawMarks(sheet, pane, scaler, view, x, style) {
  const { context, width } = sheet;
  const calls = scaler.operations.reduce((sum, { scales, splits, merges }) => sum + scales + splits + merges, 0);
  caption(sheet, pane, `${scaler.name}: ${plural(calls, 'call')}`, style);
  const middle = (pane.top + pane.bottom) / 2;
  line(context, colour('grid'), MARGIN.left, middle, width - MARGIN.right, middle);
  context.fillStyle = colour(style);
  for (const operation of scaler.operations) {
    const end = operation.until ?? view.to;
    if (end < view.from || operation.at > view.to) continue;
    const at = x(operation.at);
    context.fillRect(at, middle - 1.5, Math.max(1, x(end) - at), 3);
    const up = Math.sign(operation.to - operation.from);
    const size = operation.scales > 0 ? 6 : 4.5;
    context.beginPath();
    if (up === 0) [[0, -size], [size, 0], [0, size], [-size, 0]].forEach(([dx, dy]) => context.lineTo(at + dx, middle + dy));
    else [[-size, up * size], [size, up * size], [0, -up * size]].forEach(([dx, dy]) => context.lineTo(at + dx, middle + dy));
    context.fill();
  }
}

function drawQuota(sheet, pane, scalers, view, x) {
  const { context, width } = sheet;
  caption(sheet, pane, 'UpdateShardCount calls left in 24 h', 'muted');
  const y = (left) => pane.bottom - (left / report.quota) * (pane.bottom - pane.top);
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (const left of [0, report.quota]) {
    line(context, colour('grid'), MARGIN.left, y(left), width - MARGIN.right, y(left));
    context.fillStyle = colour('muted');
    context.fillText(String(left), MARGIN.left - 6, y(left));
  }
  for (const [scaler, style] of scalers) {
    if (!scaler) continue;
    const changes = scaler.quotaCalls.flatMap((minute) => [minute, minute + 1440]);
    const times = [view.from, ...changes.filter((minute) => minute > view.from && minute < view.to).sort((a, b) => a - b), view.to];
    context.strokeStyle = colour(style);
    context.lineWidth = style === 'own' ? 2 : 1.5;
    context.beginPath();
    times.forEach((minute, place) => {
      if (place > 0) context.lineTo(x(minute), y(quotaLeft(scaler, times[place - 1])));
      context.lineTo(x(minute), y(quotaLeft(scaler, minute)));
    });
    context.stroke();
  }
}

/** What is to be read at `minute`; operations within `reach` minutes count as pointed at. */
function readTimeline({ trace, own, rival }, minute, reach) {
  const millis = trace.start + minute * 60000;
  const row = (swatch, name, value) => [
    element('i', { class: 'swatch', style: `background: var(--${swatch})` }),
    element('dt', {}, name),
    element('dd', {}, value),
  ];
  const capacity = (scaler) => `${number(scaler.capacity.at(minute))} on ${plural(scaler.shards.at(minute), 'shard')}`;
  const rows = [
    ...row('demand', 'demand', `${number(trace.demand.at(minute), 2)} (busiest ${number(trace.peak.at(minute), 2)})`),
    ...row('own', own.name, capacity(own)),
    ...(rival ? row('rival', rival.name, capacity(rival)) : []),
    ...row('ideal', 'ideal', plural(trace.ideal.at(minute), 'shard')),
    ...row('own', 'calls left', `${quotaLeft(own, minute)} of ${report.quota}`),
  ];
  return [
    element('h3', {}, `${date(millis)} ${clock(millis)} UTC`),
    element('dl', {}, ...rows),
    ...refusedText(own, minute, reach),
    ...nearest(own, minute, reach).map((operation) => operationNote(own, operation)),
    ...(rival ? nearest(rival, minute, reach).map((operation) => operationNote(rival, operation)) : []),
  ];
}

/** The operation that `minute` lies in or is nearest to, if it is within reach. */
function nearest(scaler, minute, reach) {
  const distance = ({ at, until }) => (minute < at ? at - minute : Math.max(0, minute - (until ?? at)));
  const near = scaler.operations.filter((operation) => distance(operation) <= reach);
  const [first] = near.sort((left, right) => Math.abs(left.at - minute) - Math.abs(right.at - minute));
  return first ? [first] : [];
}

function operationNote(scaler, operation) {
  const took = operation.until === null ? '' : ` in ${duration(operation.until - operation.at)}`;
  const note = element('p', {}, element('strong', {}, `${scaler.name}: ${operationText(operation)}`), took);
  if (operation.why) note.append(...whyText(operation.why));
  return note;
}

function whyText(why) {
  const seen = why.demand === null ? '' : ` Demand seen: ${number(why.demand, 2)} shards;`;
  const use = why.percents ? ` fullest shard ${why.percents[0]} % → ${why.percents[1]} %.` : '';
  return [
    element('br'), 'Why: ', `${keysShort(why.binding)}.`, seen, use,
    ...(why.insteadOf ? [element('br'), `Instead of ${keysShort(why.insteadOf)}.`] : []),
  ];
}

/** Whether the candidate throttles at `minute`, and what its decision was. */
function refusedText(own, minute, reach) {
  const span = own.throttled.find(([from, to]) => from - reach <= minute && minute <= to + reach);
  if (!span) return [];
  const shortage = own.shortages.findLast(({ at }) => at >= span[0] && at <= span[1] + 1);
  const why = shortage ? ` Its decision then: ${keysShort(shortage.binding)}.` : '';
  return [element('p', {}, element('strong', { class: 'bad' }, `${own.name} throttles for ${duration(span[1] - span[0])}.`), why)];
}
