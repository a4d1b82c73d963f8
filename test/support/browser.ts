/** A real Chromium for journeys: visitors with their own cookies, pages that report noise, and the accessibility check. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type BrowserContext, type Browser as Chromium, chromium, type Page, type Response } from 'playwright-core';
import { describeChromium } from './chromium.ts';
import { readRunChromium } from './run.ts';

export interface VisitorOptions {
  /** false: the page's scripts do not run. */
  scripts?: boolean;
  language?: 'id' | 'en';
  scheme?: 'light' | 'dark';
  /** Of the window, in CSS pixels. */
  width?: number;
}

export interface Visitor {
  context: BrowserContext;
  page: Page;
  close(): Promise<void>;
}

export interface Browser {
  newVisitor(options?: VisitorOptions): Promise<Visitor>;
  close(): Promise<void>;
}

interface AxeViolation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary?: string }[];
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const noises = new WeakMap<Page, string[]>();
const without_scripts = new WeakSet<BrowserContext>();

/** Opens the browser of a test file; open it in `beforeAll` and close it in `afterAll`. */
export async function openBrowser(): Promise<Browser> {
  const { program, env } = await describeChromium(readRunChromium());
  // The package's own list of switches turns web security off and crashes when a page closes; these two are enough.
  const browser = await chromium.launch({ executablePath: program, env, args: ['--no-sandbox', '--disable-gpu'] });
  return {
    newVisitor: (options = {}) => newVisitor(browser, options),
    close: () => browser.close(),
  };
}

async function newVisitor(browser: Chromium, options: VisitorOptions): Promise<Visitor> {
  const { scripts = true, language = 'id', scheme = 'light', width = 1280 } = options;
  const context = await browser.newContext({
    javaScriptEnabled: scripts,
    locale: language === 'id' ? 'id-ID' : 'en-GB',
    timezoneId: 'Asia/Jakarta',
    colorScheme: scheme,
    reducedMotion: 'reduce',
    viewport: { width, height: 900 },
  });
  if (!scripts) without_scripts.add(context);
  context.setDefaultTimeout(15_000);
  context.on('page', listen);
  return { context, page: await context.newPage(), close: () => context.close() };
}

/** Collects what a careful person would see in the developer tools. */
function listen(page: Page): void {
  const noise: string[] = [];
  noises.set(page, noise);
  page.on('pageerror', (error) => noise.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    // Every answer of 400 and more is reported this way, a refused form's too; `response` below knows more about them.
    const is_status = message.text().startsWith('Failed to load resource: the server responded');
    if (['error', 'warning'].includes(message.type()) && !is_status) noise.push(`console: ${message.text()}`);
  });
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText ?? 'unknown';
    if (reason !== 'net::ERR_ABORTED') noise.push(`request failed: ${request.url()} (${reason})`);
  });
  page.on('response', (response) => {
    const limit = response.request().isNavigationRequest() ? 500 : 400;
    if (response.status() >= limit) noise.push(`answer ${response.status()}: ${response.url()}`);
  });
}

/** Fails when the page had a script error, a console error or warning (a breach of the CSP is one), or a failed request. */
export function expectQuiet(page: Page): void {
  const noise = noises.get(page);
  if (!noise) throw new Error('this page was not opened by newVisitor');
  if (noise.length > 0) throw new Error(`${page.url()} was not quiet:\n${noise.join('\n')}`);
}

/** Forgets the noise so far, for a step that is meant to break something. */
export function forgetNoise(page: Page): void {
  noises.get(page)?.splice(0);
}

/** Fails on any violation of WCAG 2.2 A and AA or of axe's best practices, in each colour scheme. Needs a visitor with scripts. */
export async function expectNoAxeViolations(
  page: Page,
  schemes: ('light' | 'dark')[] = ['light', 'dark'],
): Promise<void> {
  // Its rules wait for promises, which never come in a page whose scripts are off.
  if (without_scripts.has(page.context())) throw new Error('axe needs a visitor with scripts');
  // A click returns when the next page begins; what is measured must have its styles.
  await page.waitForLoadState();
  const before = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  const found: string[] = [];
  for (const [at, colorScheme] of schemes.entries()) {
    await page.emulateMedia({ colorScheme });
    for (const violation of await runAxe(page, at === 0 ? all_rules : rules_of_colour)) {
      const places = violation.nodes.map((node) => `  ${node.html}\n  ${node.failureSummary ?? ''}`);
      found.push(`${colorScheme}: ${violation.id}: ${violation.help}\n${places.join('\n')}`);
    }
  }
  await page.emulateMedia({ colorScheme: before });
  if (found.length > 0) throw new Error(`${page.url()} is not accessible:\n${found.join('\n')}`);
}

const all_rules = {
  type: 'tag',
  values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
};
/** All that another colour scheme of the same page can break. */
const rules_of_colour = { type: 'rule', values: ['color-contrast', 'link-in-text-block'] };

/** Evaluation from outside is not subject to the page's CSP, which stays as it is in production. */
async function runAxe(page: Page, runOnly: object): Promise<AxeViolation[]> {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  return page.evaluate(async (only) => {
    type Axe = { run(root: Document, options: object): Promise<{ violations: AxeViolation[] }> };
    const { axe } = globalThis as unknown as { axe: Axe };
    return (await axe.run(document, { runOnly: only, resultTypes: ['violations'] })).violations;
  }, runOnly);
}

/**
 * Clicks and waits until the page that follows has loaded, after all its redirects.
 * @returns its answer, whose status a test may want
 */
export async function clickAndSettle(page: Page, selector: string): Promise<Response> {
  const [response] = await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(selector)]);
  if (!response) throw new Error(`no new page followed the click on ${selector}`);
  return response;
}
