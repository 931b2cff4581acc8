// Cost against refusals: one labelled point for each policy, labels moved apart.
//
// Both axes are logarithmic, the refusals with a 0 (`log(1 + value)`): the policies differ by orders of magnitude.

const SCATTER_MARGIN = { left: 56, right: 14, top: 14, bottom: 46 };
const LABEL_HEIGHT = 15;

/** An SVG element, in the namespace of the plot that stands in the page. */
function shape(name, attributes, ...children) {
  const made = document.createElementNS(byId('scatter').namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Draws the rows' policies. */
function drawScatter(rows) {
  const svg = byId('scatter');
  // Without a view box its units are CSS pixels, so that its text is as large as the style sheet says.
  const { width } = svg.getBoundingClientRect();
  // A window that is not laid out yet has no width; the plot is drawn when it gets one.
  if (width <= SCATTER_MARGIN.left + SCATTER_MARGIN.right) return;
  const height = Math.max(300, Math.min(400, width * 0.8));
  svg.style.height = `${height}px`;
  const costs = rows.map((row) => row.over_ideal);
  const [least, greatest] = [Math.min(1, ...costs), Math.max(2, ...costs) * 1.1];
  const most = Math.max(1, ...rows.map((row) => row.throttled_minutes_per_day)) * 1.15;
  const inner = { width: width - SCATTER_MARGIN.left - SCATTER_MARGIN.right, height: height - SCATTER_MARGIN.top - SCATTER_MARGIN.bottom };
  const x = (cost) => SCATTER_MARGIN.left + (Math.log(cost / least) / Math.log(greatest / least)) * inner.width;
  const y = (minutes) => SCATTER_MARGIN.top + inner.height * (1 - Math.log1p(minutes) / Math.log1p(most));
  svg.replaceChildren(...goal(rows, x, y, inner), ...costAxis(greatest, x, y, inner), ...minutesAxis(most, x, y, least, inner));
  const points = rows.map((row) => ({ row, x: x(row.over_ideal), y: y(row.throttled_minutes_per_day) }));
  svg.append(...points.map(({ row, x: left, y: top }) => {
    const title = `${row.scaler}: ${number(row.throttled_minutes_per_day)} throttled min/day at ${number(row.over_ideal, 2)} × the ideal`;
    const fill = row.scaler === candidate ? colour('own') : row.scaler === report.rival ? colour('rival') : colour('muted');
    return shape('circle', { cx: left, cy: top, r: row.scaler === candidate ? 7 : 5, fill }, shape('title', {}, title));
  }));
  svg.append(...labels(points, width, height));
  byId('scatter-text').textContent = scatterText(rows);
}

/** Where the bars want the candidate. */
function goal(rows, x, y, inner) {
  const rival = rows.find((row) => row.scaler === report.rival);
  if (!rival) return [];
  const { over_ideal: cost, throttled_share: share } = report.goal;
  const top = y(rival.throttled_minutes_per_day * share);
  const bottom = SCATTER_MARGIN.top + inner.height;
  const area = { x: SCATTER_MARGIN.left, y: top, width: x(cost) - SCATTER_MARGIN.left, height: Math.max(2, bottom - top) };
  return [shape('rect', { ...area, fill: colour('good-fill'), stroke: colour('good'), 'stroke-dasharray': '3 3' },
    shape('title', {}, `The bars: at most ${cost} × the ideal, at most ${share} × the refusals of ${rival.scaler}`))];
}

function costAxis(greatest, x, y, inner) {
  const bottom = SCATTER_MARGIN.top + inner.height;
  const marks = [1, 1.5, 2, 3, 5, 10, 20, 50].filter((cost) => cost <= greatest);
  return [
    ...marks.flatMap((cost) => [
      shape('line', { x1: x(cost), x2: x(cost), y1: SCATTER_MARGIN.top, y2: bottom, stroke: colour('grid') }),
      shape('text', { x: x(cost), y: bottom + 16, 'text-anchor': 'middle' }, `${cost}×`),
    ]),
    shape('text', { x: SCATTER_MARGIN.left + inner.width / 2, y: bottom + 36, 'text-anchor': 'middle' }, 'shard-hours ÷ ideal'),
  ];
}

function minutesAxis(most, x, y, least, inner) {
  const marks = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter((minutes) => minutes <= most);
  const left = SCATTER_MARGIN.left;
  const middle = SCATTER_MARGIN.top + inner.height / 2;
  return [
    ...marks.flatMap((minutes) => [
      shape('line', { x1: left, x2: left + inner.width, y1: y(minutes), y2: y(minutes), stroke: colour('grid') }),
      shape('text', { x: left - 6, y: y(minutes) + 4, 'text-anchor': 'end' }, String(minutes)),
    ]),
    shape('text', { x: 12, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 12 ${middle})` }, 'throttled minutes a day'),
  ];
}

/** A label beside each point, where it meets no other point or label; far ones get a line to their point. */
function labels(points, width, height) {
  const measured = document.createElement('canvas').getContext('2d');
  const taken = points.map(({ x, y }) => ({ left: x - 7, right: x + 7, top: y - 7, bottom: y + 7 }));
  const meets = (box) => taken.some((other) =>
    box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
  return points.flatMap((point) => {
    measured.font = point.row.scaler === candidate ? `600 ${FONT}` : FONT;
    const length = measured.measureText(point.row.scaler).width + 4;
    const box = places(point, length, width, height).find((place) => !meets(place)) ?? places(point, length, width, height)[0];
    taken.push(box);
    const name = { class: point.row.scaler === candidate ? 'own' : 'name', x: box.left + 2, y: box.bottom - 3 };
    const far = Math.abs((box.top + box.bottom) / 2 - point.y) > LABEL_HEIGHT;
    const end = Math.min(Math.max(point.x, box.left), box.right);
    const leader = { x1: point.x, y1: point.y, x2: end, y2: box.bottom < point.y ? box.bottom : box.top, stroke: colour('muted') };
    return [...(far ? [shape('line', leader)] : []), shape('text', name, point.row.scaler)];
  });
}

/** Boxes for a label, the best first: beside the point, then further and further above and below. */
function places({ x, y }, length, width, height) {
  const centred = Math.max(SCATTER_MARGIN.left + 2, Math.min(width - length - 2, x - length / 2));
  const lefts = [x + 8, x - 8 - length, centred];
  const found = [];
  for (let away = 0; away < 16; away += 1) {
    for (const sign of away === 0 ? [1] : [-1, 1]) {
      const top = y - LABEL_HEIGHT / 2 + (sign * away * LABEL_HEIGHT) / 2;
      for (const left of lefts) found.push({ left, right: left + length, top, bottom: top + LABEL_HEIGHT });
    }
  }
  const fits = (box) => box.left >= SCATTER_MARGIN.left && box.right <= width && box.top >= 0 && box.bottom <= height - SCATTER_MARGIN.bottom;
  const inside = found.filter(fits);
  return inside.length > 0 ? inside : found;
}

function scatterText(rows) {
  const isBetter = (other, row) => {
    const [cost, minutes] = [other.over_ideal - row.over_ideal, other.throttled_minutes_per_day - row.throttled_minutes_per_day];
    return cost <= 0 && minutes <= 0 && cost + minutes < 0;
  };
  const best = rows.filter((row) => !rows.some((other) => isBetter(other, row)));
  const names = best.map((row) => row.scaler).join(', ');
  return rows.length > 1 ? `The dashed area is what the bars ask for. No other policy is both cheaper and less throttled than: ${names}.` : '';
}
