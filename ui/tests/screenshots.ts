// docs/screenshots: each page in both themes.

import { test } from '@playwright/test';
import { NOON, PAGES } from './browser';

const folder = new URL('../../docs/screenshots/', import.meta.url).pathname;
const shots = [...PAGES.map(([id]) => ({ name: id, url: `/?mock=normal#/${id}` })), { name: 'first-run', url: '/?mock=first' }, { name: 'activity-detail', url: '/?mock=normal#/activity?show=redacted' }];

for (const scheme of ['light', 'dark'] as const) {
  for (const { name, url } of shots) {
    test(`${name} ${scheme}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await page.clock.setFixedTime(NOON);
      await page.goto(url);
      await page.getByRole('heading', { level: 1 }).waitFor();
      if (name === 'activity-detail') await page.getByRole('option').nth(3).click();
      await page.waitForTimeout(300);
      await page.screenshot({ path: `${folder}${name}-${scheme}.png` });
    });
  }
}
