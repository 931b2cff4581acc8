// What the page was given, decoded: lines, spans, operations and shards of each trace.
//
//   JSON ─▶ report ─▶ trace(place): decoded once, when it is first shown

const report = JSON.parse(byId('data').textContent);
const { comparison } = report;
/** The scaler that the bars are about. */
const candidate = comparison.overall[0]?.scaler;

/** A step function of the minute. */
class Line {
  constructor({ every, points }) {
    this.every = every;
    this.minutes = new Float64Array(points.length / 2);
    this.values = new Float64Array(points.length / 2);
    let minute = 0;
    for (let place = 0; place < this.minutes.length; place += 1) {
      minute += points[2 * place];
      this.minutes[place] = minute;
      this.values[place] = points[2 * place + 1] / 100;
    }
  }

  /** The place of the point that holds at `minute`. */
  place(minute) {
    return Math.max(0, firstAfter(this.minutes, minute) - 1);
  }

  at(minute) {
    return this.values[this.place(minute)] ?? 0;
  }

  /** The least and the greatest value from `from` until before `to`. */
  range(from, to) {
    let place = this.place(from);
    let least = this.values[place] ?? 0;
    let greatest = least;
    for (place += 1; place < this.minutes.length && this.minutes[place] < to; place += 1) {
      least = Math.min(least, this.values[place]);
      greatest = Math.max(greatest, this.values[place]);
    }
    return [least, greatest];
  }
}

/** The place of the first of some increasing numbers that is greater than `limit`. */
function firstAfter(numbers, limit) {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Pairs of first minute and the minute after the last. */
function decodeSpans({ spans }) {
  const decoded = [];
  let minute = 0;
  for (let place = 0; place < spans.length; place += 2) {
    const from = minute + spans[place];
    minute = from + spans[place + 1];
    decoded.push([from, minute]);
  }
  return decoded;
}

function decodeOperation([at, until, scales, splits, merges, from, to, why]) {
  return { at: at / 60, until: until === null ? null : until / 60, scales, splits, merges, from, to, why: why && decodeWhy(why) };
}

function decodeWhy([binding, insteadOf, demand, percents]) {
  return { binding, insteadOf, demand, percents };
}

/** `UpdateShardCount 8 → 16` or `3 splits, 1 merge: 8 → 10 shards`. */
function operationText({ scales, splits, merges, from, to }) {
  const calls = [
    scales && (scales === 1 ? 'UpdateShardCount' : `${scales} × UpdateShardCount`),
    splits && plural(splits, 'split'),
    merges && plural(merges, 'merge'),
  ].filter(Boolean);
  return `${calls.join(', ')}: ${from} → ${to} shards`;
}

/** Calls that the quota of any 24 hours has left at `minute`. */
function quotaLeft(scaler, minute) {
  const used = firstAfter(scaler.quotaCalls, minute) - firstAfter(scaler.quotaCalls, minute - 1440);
  return report.quota - used;
}

/** Frames as shards: each with its part of the hash space, its life, and its share of the load by minute. */
function decodeShards({ frames }, minutes) {
  const shards = [];
  let open = [];
  for (const [minute, first, goes, begins, shares] of frames) {
    const gone = open.slice(first, first + goes);
    const next = open[first + goes];
    const end = next ? next.from : 1;
    const come = begins.map((begin, place) => {
      const from = begin / report.space;
      const to = place + 1 < begins.length ? begins[place + 1] / report.space : end;
      const share = shares[place] / report.load;
      const stays = gone.find((shard) => shard.from === from && shard.to === to);
      if (stays) {
        stays.shares.push([minute, share]);
        return stays;
      }
      return { from, to, since: minute, until: minutes, shares: [[minute, share]] };
    });
    for (const shard of gone) if (!come.includes(shard)) shard.until = minute;
    shards.push(...come.filter((shard) => !gone.includes(shard)));
    open.splice(first, goes, ...come);
  }
  return shards;
}

/** The share of the load that a shard holds at `minute`. */
function shareAt(shard, minute) {
  let share = shard.shares[0][1];
  for (const [since, value] of shard.shares) {
    if (since > minute) break;
    share = value;
  }
  return share;
}

const decodedTraces = new Map();

/** A trace, decoded. */
function traceAt(place) {
  if (!decodedTraces.has(place)) {
    const raw = report.traces[place];
    const scalers = raw.scalers.map((scaler) => ({
      name: scaler.name,
      capacity: new Line(scaler.capacity),
      shards: new Line(scaler.shards),
      throttled: decodeSpans(scaler.throttled),
      throttledMinutes: scaler.throttled.minutes,
      quotaCalls: scaler.quota_calls,
      operations: scaler.operations.map(decodeOperation),
      shortages: scaler.shortages.map(([seconds, binding]) => ({ at: seconds / 60, binding })),
    }));
    decodedTraces.set(place, {
      name: raw.name,
      start: raw.start_millis,
      minutes: raw.minutes,
      demand: new Line(raw.demand),
      peak: new Line(raw.peak),
      ideal: new Line(raw.ideal),
      scalers,
      shards: decodeShards(raw.shard_map, raw.minutes),
      mapEvery: raw.shard_map.every,
    });
  }
  return decodedTraces.get(place);
}
