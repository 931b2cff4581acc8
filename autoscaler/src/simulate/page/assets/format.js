// Figures, times and elements as text. Nothing here knows the data.

/** A number with at most `digits` decimals. */
const number = (value, digits = 1) => value.toLocaleString('en', { maximumFractionDigits: digits });

/** A ratio that may be without end: nothing is more than a thousand times too much. */
const measure = (value) => (value < 1000 ? number(value, 2) : '≥ 1,000');

const percent = (value) => `${number(value * 100, 0)} %`;

const plural = (count, word) => `${number(count, 0)} ${word}${count === 1 ? '' : 's'}`;

/** Minutes as a duration: `4 min`, `3.5 h`, `14 d`. */
function duration(minutes) {
  if (minutes < 120) return `${number(minutes, minutes < 10 ? 1 : 0)} min`;
  return minutes < 2880 ? `${number(minutes / 60)} h` : `${number(minutes / 1440)} d`;
}

/** Hash keys of up to 39 digits as parts of the hash space. */
const keysShort = (text) => text.replace(/\d{20,}/g, (key) => `${number((Number(key) / 2 ** 128) * 100, 2)} %`);

const dateFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });
const clockFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: 'UTC' });

const date = (millis) => dateFormat.format(millis);
const clock = (millis) => clockFormat.format(millis);

/** An element with attributes and children; text is never read as HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);
