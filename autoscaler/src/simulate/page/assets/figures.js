// The verdict, the bars, and the table of figures that can be sorted: the same figures as the command prints.

const COLUMNS = [
  ['throttled_minutes_per_day', 'Throttled min/day', 1],
  ['lost_percent', 'Lost %', 2],
  ['over_ideal', 'Shard-hours ÷ ideal', 2],
  ['over_reactive', 'Shard-hours ÷ oracle', 2],
  ['calls_in_24h_max', 'Most calls in 24 h', 0],
  ['refused', 'Refused calls', 0],
  ['opposite_moves_within_hour', 'Undone within 1 h', 0],
  ['created_per_useful_change', 'Shards created ÷ useful change', 1],
];

/** One sentence on whether all holds, one on what it means. */
function showVerdict() {
  const failing = comparison.bars.filter((bar) => !bar.holds);
  const all = comparison.bars.length;
  const verdict = failing.length === 0
    ? element('span', { class: 'good' }, all === 1 ? 'The one bar holds.' : `All ${all} bars hold.`)
    : element('span', { class: 'bad' }, `${failing.length} of ${plural(all, 'bar')} ${failing.length === 1 ? 'fails' : 'fail'}.`);
  byId('verdict').append(verdict);
  const [own] = comparison.overall;
  const rival = comparison.overall.find((summary) => summary.scaler === report.rival);
  if (own && rival) {
    const throttled = (summary) => number(summary.throttled_minutes_per_day);
    byId('verdict').append(
      ` Over ${plural(own.traces, 'trace')}, ${own.scaler} throttles ${throttled(own)} minutes a day where ${rival.scaler}` +
        ` throttles ${throttled(rival)}, and takes ${number(own.over_ideal, 2)} × the shard-hours of an ideal that knows the` +
        ` future where the other takes ${number(rival.over_ideal, 2)} ×.`,
    );
  }
}

/** Each bar with its figure, its limit and what binds it; a trace that binds can be shown. */
function showBars(showTrace) {
  for (const bar of comparison.bars) {
    const item = element('li', {},
      element('strong', { class: bar.holds ? 'good' : 'bad' }, bar.holds ? '✓ holds' : '✗ fails'),
      element('span', {}, bar.name),
      element('span', { class: 'measured' }, `${measure(bar.measured)} of ≤ ${number(bar.at_most, 2)}`),
      meter(bar),
      element('span', { class: 'binds' }, ...boundBy(bar.binds, showTrace)),
    );
    byId('bars').append(item);
  }
}

/** The figure as a bar, its limit as a mark at two thirds. */
function meter({ measured, at_most: most, holds }) {
  const parts = most > 0 ? measured / most : measured > 0 ? 2 : 0;
  const width = Math.min(100, (parts * 200) / 3);
  const mark = element('b', { style: 'left: 66.7%' });
  return element('span', { class: holds ? 'meter' : 'meter over', 'aria-hidden': 'true' }, element('i', { style: `width: ${width}%` }), mark);
}

function boundBy(binds, showTrace) {
  const name = report.traces.map((trace) => trace.name).find((trace) => binds.startsWith(`${trace}:`));
  if (name === undefined) return [binds];
  const button = element('button', { class: 'link', type: 'button', onclick: () => showTrace(name) }, name);
  return ['most by ', button, binds.slice(name.length)];
}

/** The scopes that figures can be had of: everything, and each family. */
function scopes() {
  const families = comparison.families.map((summary) => summary.family);
  const named = [...new Set(families)].map((family) => ({
    name: `${family} (${plural(comparison.families.find((summary) => summary.family === family).traces, 'trace')})`,
    rows: comparison.families.filter((summary) => summary.family === family),
  }));
  const [first] = comparison.overall;
  return [{ name: first ? `all ${plural(first.traces, 'trace')}` : 'no trace', rows: comparison.overall }, ...named];
}

let sorting = { column: undefined, ascending: true };

/** The table of some rows, in the order that was chosen last. */
function showFigures(rows) {
  const { column, ascending } = sorting;
  const value = (row) => (column === 'scaler' ? row.scaler : (row[column] ?? Number.POSITIVE_INFINITY));
  const compare = (left, right) => (value(left) < value(right) ? -1 : value(left) > value(right) ? 1 : 0);
  const sorted = column ? rows.toSorted((left, right) => (ascending ? compare(left, right) : compare(right, left))) : rows;
  const sortBy = (chosen) => {
    sorting = { column: chosen, ascending: sorting.column === chosen ? !sorting.ascending : true };
    showFigures(rows);
    byId('figures').querySelector(`[data-column="${chosen}"]`).focus();
  };
  const head = [['scaler', 'Policy'], ...COLUMNS].map(([key, title]) => {
    const direction = column === key ? (ascending ? 'ascending' : 'descending') : 'none';
    const arrow = { ascending: ' ▲', descending: ' ▼', none: '' }[direction];
    const button = element('button', { type: 'button', 'data-column': key, onclick: () => sortBy(key) }, title + arrow);
    return element('th', { scope: 'col', 'aria-sort': direction }, button);
  });
  const body = sorted.map((row) => {
    const cells = COLUMNS.map(([key, , digits]) => {
      const text = row[key] === null ? '–' : row[key].toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
      return element('td', {}, text);
    });
    return element('tr', { class: row.scaler === candidate ? 'own' : undefined }, element('th', { scope: 'row' }, row.scaler), ...cells);
  });
  byId('figures').replaceChildren(element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...body)));
}
