// The browser, a page of the report in it, and what can be asked of the page.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const folder = process.env.REPORT_FOLDER;

/** What the command printed in the run that wrote the page. */
export const printed = JSON.parse(readFileSync(join(folder, 'simulation.json'), 'utf8'));

const SWITCHES = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A browser with an empty profile. */
export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: SWITCHES });

/** The report in a window, and what the page complained about or asked for. */
export async function open(browser, { width, scheme }) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    hasTouch: width < 600,
  });
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`error: ${error.stack}`));
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));
  page.on('request', (request) => requests.push(request.url()));
  const url = pathToFileURL(join(folder, 'simulation.html')).href;
  await page.goto(url);
  return { page, complaints, requests, url, close: () => context.close() };
}

export const screenshot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });

/** A canvas as it is, in short, to be compared with itself later. */
export async function picture(page, id) {
  const url = await page.locator(id).evaluate((canvas) => canvas.toDataURL());
  return createHash('sha256').update(url).digest('hex');
}

/** How many colours the upper half of a canvas has, and which part of it is painted. */
export const paint = (page, id) => page.locator(id).evaluate((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, Math.floor(canvas.height / 2));
  const pixels = new Uint32Array(data.buffer);
  const painted = pixels.reduce((count, pixel) => count + (pixel === 0 ? 0 : 1), 0);
  return { colours: new Set(pixels).size, painted: painted / pixels.length };
});

/** Everything with text of its own that can be seen: its size, its place, its contrast to what lies behind it. */
export const texts = (page) => page.evaluate(() => {
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = channels(colour).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return [...document.body.querySelectorAll('*')]
    .filter((element) => !['SCRIPT', 'NOSCRIPT', 'OPTION', 'title'].includes(element.tagName))
    .filter((element) => hasText(element) && element.checkVisibility())
    .map((element) => {
      const style = getComputedStyle(element);
      const isShape = element.namespaceURI !== document.documentElement.namespaceURI;
      const [one, other] = [luminance(isShape ? style.fill : style.color), luminance(behind(element))].sort((a, b) => b - a);
      const box = element.getBoundingClientRect();
      return {
        text: element.textContent.trim().slice(0, 40),
        pixels: parseFloat(style.fontSize) * (isShape ? Math.hypot(element.getScreenCTM().a, element.getScreenCTM().b) : 1),
        contrast: (one + 0.05) / (other + 0.05),
        left: box.left,
        right: box.right,
        scrolls: element.closest('.scroll') !== null,
        skips: element.closest('.skip') !== null,
      };
    });
});
