// Every page in every state and both themes: it says what it should, breaks no rule of the window's content policy, and
// axe finds nothing serious. At the smallest size the window may have.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test, type Page } from '@playwright/test';
import { NOON, PAGES } from './browser';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  id: string;
  impact: string | null;
  nodes: { target: string[]; failureSummary?: string }[];
}

async function serious(page: Page): Promise<string[]> {
  // Through the debugger, since the window's policy lets no script of others in.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))`,
    awaitPromise: true,
    returnByValue: true,
  });
  const findings = JSON.parse(result.value as string) as Finding[];
  return findings
    .filter((f) => f.impact === 'serious' || f.impact === 'critical')
    .map((f) => `${f.id}: ${f.nodes.map((n) => `${n.target.join(' ')} ${n.failureSummary ?? ''}`).join(' | ')}`);
}

/** Opens a page and collects what went wrong in it. */
async function open(page: Page, url: string): Promise<string[]> {
  const wrong: string[] = [];
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(String(error)));
  await page.setViewportSize({ width: 900, height: 600 });
  await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'light' });
  await page.clock.setFixedTime(NOON);
  await page.goto(url);
  await page.getByRole('heading', { level: 1 }).waitFor();
  return wrong;
}

const SCENES = ['normal', 'empty', 'loading', 'error', 'huge'] as const;

for (const [id, title] of PAGES) {
  for (const scene of SCENES) {
    test(`${id}, ${scene}`, async ({ page }) => {
      const wrong = await open(page, `/?mock=${scene}#/${id}`);
      await expect(page.getByRole('heading', { level: 1 })).toHaveText(title);
      if (scene === 'loading') await expect(page.getByRole('status').first()).toBeAttached();
      if (scene === 'error') await expect(page.getByText('The engine does not answer').or(page.getByText('Engine not running')).first()).toBeVisible();
      for (const scheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: scheme });
        await expect(page.locator('html')).toHaveAttribute('data-theme', scheme);
        expect(await serious(page), scheme).toEqual([]);
      }
      const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      expect(wider, 'nothing is cut off at 900 by 600').toBe(false);
      expect(wrong).toEqual([]);
    });
  }
}

for (const scene of ['paused', 'off', 'attention', 'first', 'kept'] as const) {
  test(`the window, ${scene}`, async ({ page }) => {
    const wrong = await open(page, `/?mock=${scene}`);
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      expect(await serious(page), scheme).toEqual([]);
    }
    expect(wrong).toEqual([]);
  });
}

test('an open row tells what was taken out and why, and has nothing serious either', async ({ page }) => {
  const wrong = await open(page, '/?mock=normal#/activity?show=redacted');
  await page.getByRole('option').first().click();
  const drawer = page.getByRole('dialog');
  await expect(drawer.getByRole('heading', { name: 'Taken out', exact: true })).toBeVisible();
  await expect(drawer.getByText(/bound to the row before it/)).toBeVisible();
  expect(await serious(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();
  expect(wrong).toEqual([]);
});

test('the dialog of a pause has nothing serious either', async ({ page }) => {
  await open(page, '/?mock=reason#/overview?pause=15');
  await expect(page.getByRole('dialog')).toBeVisible();
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    expect(await serious(page), scheme).toEqual([]);
  }
});

test('text of tools and models is never markup', async ({ page }) => {
  await open(page, '/?mock=normal#/activity?agent=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E');
  await expect(page.getByLabel(/Tool: <img/)).toBeVisible();
  expect(await page.locator('main img').count()).toBe(0);
});
