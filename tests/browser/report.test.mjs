// The report of a real simulation, as a person meets it: at two widths, in light and dark, by mouse, touch and keyboard.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, paint, picture, printed, screenshot, texts } from './browser.mjs';

const CANVASES = ['#overview', '#timeline', '#map'];
const WINDOWS = [1280, 390].flatMap((width) => ['light', 'dark'].map((scheme) => ({ width, scheme })));

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Runs `act` on the report in a window of its own; the page must not have complained at the end. */
async function inWindow(window, act) {
  const opened = await open(browser, window);
  await act(opened.page);
  assert.deepEqual(opened.complaints, []);
  assert.deepEqual(opened.requests, [opened.url], 'the file refers to nothing else');
  await opened.close();
}

async function openOperations(page) {
  await page.locator('#operations summary').click();
  await page.locator('#operations tbody tr').first().waitFor();
}

/** Where an element is in the window, after it was scrolled to the top. */
async function inView(page, id) {
  await page.locator(id).evaluate((element) => element.scrollIntoView());
  return page.locator(id).boundingBox();
}

for (const window of WINDOWS) {
  describe(`${window.width} px, ${window.scheme}`, () => {
    test('every plot is painted', () => inWindow(window, async (page) => {
      for (const id of CANVASES) {
        const { colours, painted } = await paint(page, id);
        assert.ok(colours >= 8 && painted > 0.2, `${id}: ${colours} colours on ${painted} of the area`);
      }
      const points = await page.locator('#scatter circle').evaluateAll((circles) => circles.map((circle) => circle.getBoundingClientRect().x));
      assert.equal(points.length, printed.overall.length);
      assert.ok(new Set(points).size > 3 && points.every(Number.isFinite), `${points}`);
      const sides = await page.locator('#scatter circle').evaluateAll((circles) => {
        const lefts = circles.map((circle) => circle.getBoundingClientRect().x);
        return (Math.max(...lefts) - Math.min(...lefts)) / circles[0].closest('figure').clientWidth;
      });
      assert.ok(sides > 0.5, `the points take ${sides} of the width`);
      await screenshot(page, `report-${window.width}-${window.scheme}`);
    }));

    test('all text can be read and nothing sticks out', () => inWindow(window, async (page) => {
      await page.locator('#timeline').focus();
      await page.keyboard.press('n');
      await openOperations(page);
      const found = await texts(page);
      assert.ok(found.length > 100, `${found.length} texts`);
      for (const text of found) {
        assert.ok(text.pixels >= 12, `${text.pixels} px: ${text.text}`);
        assert.ok(text.contrast >= 4.5, `contrast ${text.contrast.toFixed(2)}: ${text.text}`);
        const isWithin = text.left >= 0 && text.right <= window.width;
        assert.ok(isWithin || text.scrolls || text.skips, `from ${text.left} to ${text.right}: ${text.text}`);
      }
      for (const id of CANVASES) {
        const font = await page.locator(id).evaluate((canvas) => canvas.getContext('2d').font);
        assert.match(font, /^12px /);
      }
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, document.body.scrollWidth]);
      assert.ok(Math.max(...widths) <= window.width, `${widths} of ${window.width}`);
      await screenshot(page, `reasons-${window.width}-${window.scheme}`);
    }));

    test('labels of the policies do not cover each other', () => inWindow(window, async (page) => {
      const boxes = await page.locator('#scatter .name, #scatter .own').evaluateAll((labels) => labels.map((label) => {
        const { left, right, top, bottom } = label.getBoundingClientRect();
        return { left, right, top: top + 2, bottom: bottom - 2, text: label.textContent };
      }));
      assert.deepEqual(boxes.map(({ text }) => text).sort(), printed.overall.map(({ scaler }) => scaler).sort());
      boxes.forEach((box, place) => boxes.slice(place + 1).forEach((other) => {
        const apart = box.right <= other.left || other.right <= box.left || box.bottom <= other.top || other.bottom <= box.top;
        assert.ok(apart, `${box.text} and ${other.text}`);
      }));
    }));
  });
}

const [wide, narrow] = [{ width: 1280, scheme: 'light' }, { width: 390, scheme: 'dark' }];

test('dark is dark and light is light', async () => {
  const brightness = (page) => page.evaluate(() => Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]));
  await inWindow({ width: 1280, scheme: 'dark' }, async (page) => assert.ok((await brightness(page)) < 64));
  await inWindow(wide, async (page) => {
    assert.ok((await brightness(page)) > 192);
    const before = await picture(page, '#map');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForFunction((old) => document.querySelector('#map').toDataURL() !== old, before);
  });
});

test('bars and table are what the command printed', () => inWindow(wide, async (page) => {
  const bars = await page.locator('#bars li').allInnerTexts();
  assert.equal(bars.length, printed.bars.length);
  printed.bars.forEach((bar, place) => {
    assert.ok(bars[place].includes(bar.name) && bars[place].includes(bar.holds ? 'holds' : 'fails'), bars[place]);
  });
  const rows = () => page.locator('#figures tbody tr').evaluateAll((found) => found.map((row) => [...row.cells].map((cell) => cell.innerText)));
  const shown = await rows();
  assert.deepEqual(shown.map(([name]) => name), printed.overall.map(({ scaler }) => scaler));
  shown.forEach((cells, place) => {
    const figures = printed.overall[place];
    assert.equal(Number(cells[1].replaceAll(',', '')).toFixed(1), figures.throttled_minutes_per_day.toFixed(1));
    assert.equal(cells[3], figures.over_ideal.toFixed(2));
    assert.equal(cells[6].replaceAll(',', ''), String(figures.refused));
  });
  await page.getByRole('button', { name: 'Throttled min/day' }).click();
  const sorted = (await rows()).map((cells) => Number(cells[1].replaceAll(',', '')));
  assert.deepEqual(sorted, sorted.toSorted((left, right) => left - right));
  assert.equal(await page.locator('th[aria-sort=ascending]').innerText(), 'Throttled min/day ▲');
  await page.selectOption('#scope', { index: 1 });
  const family = printed.families.filter((summary) => summary.family === printed.families[0].family);
  assert.equal((await rows()).length, family.length);
}));

test('every trace can be chosen, and each looks different', () => inWindow(wide, async (page) => {
  const names = await page.locator('#trace option').allInnerTexts();
  assert.deepEqual(names, [...new Set(printed.rows.map(({ trace }) => trace)), 'surge']);
  const pictures = new Set();
  for (const name of names) {
    await page.selectOption('#trace', name);
    assert.ok((await paint(page, '#timeline')).colours >= 8, name);
    pictures.add(await picture(page, '#timeline')).add(await picture(page, '#map'));
  }
  assert.equal(pictures.size, 2 * names.length);
  const before = await picture(page, '#timeline');
  await page.selectOption('#rival', { index: 3 });
  assert.notEqual(await picture(page, '#timeline'), before, 'another policy has another capacity');
}));

test('a trace that binds a bar is one click away', () => inWindow(wide, async (page) => {
  const link = page.locator('#bars button').first();
  const name = await link.innerText();
  await link.click();
  assert.equal(await page.locator('#trace').inputValue(), name);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'trace-title');
}));

test('dragging zooms, a double click shows all again, lines can be hidden', () => inWindow(wide, async (page) => {
  const [all, map] = [await picture(page, '#timeline'), await picture(page, '#map')];
  const box = await inView(page, '#timeline');
  await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 3 });
  await page.mouse.up();
  assert.notEqual(await picture(page, '#timeline'), all);
  assert.notEqual(await picture(page, '#map'), map, 'both plots have one time axis');
  await page.mouse.dblclick(box.x + box.width * 0.5, box.y + 60);
  assert.equal(await picture(page, '#timeline'), all);
  await page.locator('#line-ideal').uncheck();
  assert.notEqual(await picture(page, '#timeline'), all);
}));

test('pointing at an operation tells its reason and what else could have been done', () => inWindow(wide, async (page) => {
  await page.locator('#timeline').focus();
  for (const key of ['n', '+', '+', '+']) await page.keyboard.press(key);
  await page.keyboard.press('n');
  const byKey = await page.locator('#readout').innerText();
  assert.match(byKey, /Why: .+\.[^]*Instead of .+: .+\./);
  const cursor = await page.locator('.cursor').first().boundingBox();
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#readout p').count(), 0);
  await page.mouse.move(cursor.x + 1, cursor.y + 40);
  assert.match(await page.locator('#readout').innerText(), /Why: .+/);
  const map = await inView(page, '#map');
  await page.mouse.move(cursor.x + 1, map.y + map.height / 2);
  assert.match(await page.locator('#readout').innerText(), /Shard: .+ of the hash space/);
  await openOperations(page);
  const reasons = await page.locator('#operations tbody tr td:nth-child(3)').allInnerTexts();
  assert.ok(reasons.length > 0 && reasons.every((reason) => reason.length > 10), `${reasons}`);
}));

test('touching a plot shows its figures within the window', () => inWindow(narrow, async (page) => {
  const box = await inView(page, '#timeline');
  await page.touchscreen.tap(box.x + box.width / 2, box.y + 50);
  const readout = await page.locator('#readout').boundingBox();
  assert.ok(readout.y >= 0 && readout.y + readout.height <= 900, JSON.stringify(readout));
  assert.match(await page.locator('#readout').innerText(), /demand/);
  await page.locator('#trace-summary').tap();
  assert.equal(await page.locator('#readout p, #readout dl').count(), 0);
}));

test('the keyboard reaches everything in reading order, and shows where it is', () => inWindow(wide, async (page) => {
  const stops = [];
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      const name = at.id || at.closest('[id]')?.id;
      return at === document.body ? undefined : { name, outline: getComputedStyle(at).outlineStyle, top: at.getBoundingClientRect().top + scrollY };
    });
    if (!stop) break;
    stops.push(stop);
  }
  assert.ok(stops.every(({ outline }) => outline !== 'none'), JSON.stringify(stops));
  const order = [...new Set(stops.map(({ name }) => name))];
  const lines = ['demand', 'peak', 'own', 'rival', 'ideal'].map((key) => `line-${key}`);
  const expected = ['bars', 'scope', 'figures', 'trace', 'rival', ...lines, 'zoom', 'timeline', 'operations'];
  assert.deepEqual(order.filter((name) => expected.includes(name)), expected);
}));
