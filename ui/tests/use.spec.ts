// What a person does: by keyboard alone, by pointer, over a long trail.

import { expect, test, type Page } from '@playwright/test';
import { MockTrail } from '../src/lib/backend/mock-trail';
import type { AuditFilter } from '../src/lib/types/ipc';
import { NOON } from './browser';

const EVERYTHING: AuditFilter = {
  since: null, until: null, event_type: null, provider: null, model: null, user: null, agent: null, exchange_id: null, classification: null,
  rule: null, text: null, redacted: null, after_seq: null, before_seq: null, newest_first: true, limit: null,
};

test.beforeEach(async ({ page }, info) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  // A clock that stands still measures nothing.
  if (!info.title.includes('paint')) await page.clock.setFixedTime(NOON);
});

test('pause and on again', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('menuitem', { name: 'For 15 minutes' }).click();
  await expect(page.getByRole('region', { name: 'Protection' })).toContainText('Paused');
  await expect(page.getByRole('region', { name: 'Protection' })).toContainText('On again in 15:00');
  await page.getByRole('button', { name: 'Switch on' }).click();
  await expect(page.getByRole('region', { name: 'Protection' })).toContainText('Protected');
});

test('a finding is said to be no secret for a while, with a reason, and that is taken back', async ({ page }) => {
  await page.goto('/#/activity?show=redacted');
  await page.getByRole('option', { name: /connection_string/ }).first().click();
  const drawer = page.getByRole('dialog').first();
  await drawer.getByRole('button', { name: 'Not a secret…' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Not a secret' });
  await expect(dialog.getByRole('button', { name: 'Allow it' })).toBeDisabled();
  await dialog.getByLabel('Why it is none').fill('a key of the documentation');
  await dialog.getByLabel('How long').click();
  await page.getByRole('option', { name: 'For 30 days' }).click();
  await dialog.getByRole('button', { name: 'Allow it' }).click();
  await expect(dialog).toBeHidden();
  await expect(drawer).toContainText('a key of the documentation.');
  await expect(drawer).toContainText('Until Saturday, 11 April 2026');
  await drawer.getByRole('button', { name: 'Undo' }).click();
  await expect(drawer.getByRole('button', { name: 'Undo' })).toHaveCount(0);
});

test('a popup leads to a row and its question; closing them leaves the list as it was asked for', async ({ page }) => {
  const trail = new MockTrail(2400, NOON);
  const found = trail.query({ ...EVERYTHING, redacted: true }).rows.find((row) => row.request?.redactions_applied.length === 1 && row.actions?.length === 1);
  if (!found) throw new Error('no such row in the mock');
  await page.goto('/');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.evaluate((address) => (location.hash = address), `//activity?show=redacted&row=${found.seq}&value=${found.actions?.[0]?.target}`);
  const dialog = page.getByRole('dialog', { name: 'Not a secret' });
  await expect(dialog.getByRole('button', { name: 'Allow it' })).toBeDisabled();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toBeHidden();
  const drawer = page.getByRole('dialog', { name: '1 value taken out' });
  await expect(drawer).toContainText(`Row ${found.seq.toLocaleString('en-US')}`);
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();
  await expect(page).toHaveURL(/activity\?show=redacted$/);
  await expect(page.getByRole('radio', { name: 'Cleaned' })).toBeChecked();
});

test('a popup about suspicious instructions leads to their rows', async ({ page }) => {
  await page.goto('/#/activity');
  await page.getByRole('option').first().waitFor();
  await page.evaluate(() => (location.hash = '//activity?text=prompt_injection'));
  await expect(page.getByRole('searchbox')).toHaveValue('prompt_injection');
  await expect(page.getByRole('option').first()).toContainText(/Hidden instruction made harmless|Suspicious instruction sent/);
  await page.getByRole('option').first().click();
  await expect(page.getByRole('dialog')).toContainText('Suspicious instruction: hidden task');
});

test('a refused request says what can be done about it; a sent one says nothing of it', async ({ page }) => {
  await page.goto('/#/activity?show=refused');
  await page.getByRole('option', { name: /a secret stood in text that is signed/ }).first().click();
  const drawer = page.getByRole('dialog');
  await expect(drawer.getByRole('region', { name: 'What you can do' })).toContainText('Start a new conversation');
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();
  await page.goto('/#/activity');
  await page.getByRole('option', { name: /Prompt sent/ }).first().click();
  await expect(drawer.getByRole('heading', { name: 'Facts' })).toBeVisible();
  await expect(drawer.getByText('What you can do')).toHaveCount(0);
});

test('a known secret is never offered to be none', async ({ page }) => {
  await page.goto('/#/activity?show=redacted');
  await page.getByRole('option', { name: /taken out\s+(PAYMENTS_DB_PASSWORD|DEPLOY_TOKEN)\b(?!,)/ }).first().click();
  await expect(page.getByRole('dialog').getByRole('heading', { name: 'Taken out', exact: true })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Not a secret…' })).toHaveCount(0);
});

test('where policy wants a reason, a pause asks for one; the tray leads to the same question', async ({ page }) => {
  await page.goto('/?mock=reason');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('menuitem', { name: 'For 5 minutes…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Pause protection' });
  await expect(dialog.getByLabel('How long')).toHaveText(/For 5 minutes/);
  await expect(dialog.getByRole('button', { name: 'Pause' })).toBeDisabled();
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await page.evaluate(() => (location.hash = '//overview?pause=60'));
  await expect(dialog.getByLabel('How long')).toHaveText(/For 60 minutes/);
  await dialog.getByLabel('Reason').fill('packet trace');
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('region', { name: 'Protection' })).toContainText('On again in 1:00:00');
});

test('a refused pause is said in the dialog, and nothing is lost', async ({ page }) => {
  await page.goto('/?mock=refused#/overview?pause=15');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill('packet trace');
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await expect(dialog.getByRole('alert')).toContainText('the operating system asks who is there');
  await expect(dialog.getByLabel('Reason')).toHaveValue('packet trace');
});

test('where policy keeps protection on, no pause is offered', async ({ page }) => {
  await page.goto('/?mock=kept');
  await expect(page.getByText('Policy keeps it on')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Pause' })).toHaveCount(0);
});

test('by keyboard alone: to Activity, down the list, a row, back', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.keyboard.press('Control+2');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Activity');
  const list = page.getByRole('listbox');
  await list.waitFor();
  for (let i = 0; i < 20 && !(await list.evaluate((e) => e === document.activeElement)); i++) await page.keyboard.press('Tab');
  await expect(list).toBeFocused();
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowDown');
  await expect(list).toHaveAttribute('aria-activedescendant', /./);
  const pointed = await list.getAttribute('aria-activedescendant');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await expect(list).toBeFocused();
  await expect(list).toHaveAttribute('aria-activedescendant', pointed ?? '');
});

/** Presses Tab until something of this name has the focus, which then has to be seen. */
async function tabTo(page: Page, name: string | RegExp) {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const reached = page.locator(':focus').and(page.getByRole('button', { name }).or(page.getByRole('link', { name })));
    if ((await reached.count()) === 0) continue;
    expect(await reached.evaluate((e) => getComputedStyle(e).outlineStyle), 'a ring is drawn').toBe('solid');
    return;
  }
  throw new Error(`no Tab leads to ${name}`);
}

test('by keyboard alone: a request is approved, another denied, and the focus is never lost', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await tabTo(page, 'Decide');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'Approvals' })).toBeFocused();
  await tabTo(page, 'Approve…');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('region', { name: 'In force' })).toContainText('npm run migrate');
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused();
  await tabTo(page, 'Deny');
  await page.keyboard.press('Enter');
  await expect(page.getByText('Nothing waits for you.')).toBeVisible();
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused();
});

test('by keyboard alone: the first run, from its first step to its end', async ({ page }) => {
  await page.goto('/?mock=first');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await tabTo(page, 'Start the engine');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Remove…' }).waitFor();
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused();
  await tabTo(page, 'Continue');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'Only AI hosts' })).toBeFocused();
  await tabTo(page, 'Prove it');
  await page.keyboard.press('Enter');
  await expect(page.getByText('never arrived')).toBeVisible();
  await tabTo(page, 'Continue');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'Your tools' })).toBeFocused();
  await tabTo(page, 'Add to ~/.zshrc');
  await page.keyboard.press('Enter');
  await expect(page.getByText('It stands in ~/.zshrc')).toBeVisible();
  await tabTo(page, 'Done');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
});

test('a million rows: only those in sight are there, and scrolling brings older ones', async ({ page }) => {
  await page.goto('/?mock=huge#/activity');
  const list = page.getByRole('listbox');
  await list.waitFor();
  expect(await page.getByRole('option').count()).toBeLessThan(60);
  await list.focus();
  await page.keyboard.press('End');
  await expect(page.getByRole('status').filter({ hasText: 'rows shown' })).toContainText('400 rows shown');
  expect(await page.getByRole('option').count()).toBeLessThan(60);
});

test('narrowing is in the address, so that it can be gone back from', async ({ page }) => {
  await page.goto('/#/activity');
  await page.getByRole('radio', { name: 'Refused' }).click();
  await expect(page).toHaveURL(/show=refused/);
  await expect(page.getByRole('option').first()).toContainText('Refused');
  await page.getByRole('searchbox').fill('no such thing anywhere');
  await expect(page.getByRole('heading', { name: 'No row matches' })).toBeVisible();
  await page.getByRole('button', { name: 'Show everything' }).click();
  await expect(page.getByRole('option').first()).toBeVisible();
});

test('verify and export say what they did', async ({ page }) => {
  await page.goto('/#/activity');
  await page.getByRole('button', { name: 'Verify' }).click();
  await expect(page.getByText('Whole: 2,400 rows')).toBeVisible();
  await page.getByRole('button', { name: 'Export' }).click();
  await page.getByRole('menuitem', { name: /CSV/ }).click();
  await expect(page.getByText('2,400 rows written to')).toBeVisible();
});

test('a secret that is due for a change is named where secrets are', async ({ page }) => {
  await page.goto('/?mock=attention#/secrets');
  const rotate = page.getByRole('region', { name: 'To rotate' });
  await expect(rotate).toContainText('DEPLOY_TOKEN was last changed 97 days ago');
  await expect(rotate.getByText('sallyport secrets sync')).toHaveJSProperty('tagName', 'CODE');
});

test('the first run goes forward and back, proves itself, and is over when done', async ({ page }) => {
  await page.goto('/?mock=first');
  await page.getByRole('button', { name: 'Start the engine' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Prove it' }).click();
  await expect(page.getByText('never arrived')).toBeVisible();
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText('sallyport exec -- claude')).toBeVisible();
  await page.getByRole('button', { name: 'Back' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Only AI hosts');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
});

test('each step of the first run says what it changes, does it, and undoes it', async ({ page }) => {
  await page.goto('/?mock=first');
  await expect(page.getByText('Once you start it, this changes:')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Continue' })).toBeDisabled();
  await page.getByRole('button', { name: 'Start the engine' }).click();
  await page.getByRole('button', { name: 'Remove…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Remove the certificate' });
  await expect(dialog).toContainText('The engine ends');
  await dialog.getByRole('button', { name: 'Remove', exact: true }).click();
  await expect(page.getByText('The certificate and its key are gone')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Continue' })).toBeDisabled();
  await page.getByRole('button', { name: 'Make a new one' }).click();
  await expect(page.getByRole('button', { name: 'Remove…' })).toBeVisible();

  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Switch off…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Switch off' }).click();
  await expect(page.getByText('AI traffic passes unread until you switch')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Prove it' })).toBeDisabled();
  await page.getByRole('button', { name: 'Switch on' }).click();
  await expect(page.getByRole('button', { name: 'Switch off…' })).toBeVisible();

  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText('would be added at the end of ~/.zshrc')).toBeVisible();
  await page.getByRole('button', { name: 'Add to ~/.zshrc' }).click();
  await expect(page.getByText('It stands in ~/.zshrc')).toBeVisible();
  await page.getByRole('button', { name: 'Take out' }).click();
  await expect(page.getByText('Not there yet.')).toBeVisible();
});

test('who skips the first run starts the engine from the overview', async ({ page }) => {
  await page.goto('/?mock=first');
  await page.getByRole('button', { name: 'Skip' }).click();
  const protection = page.getByRole('region', { name: 'Protection' });
  await expect(protection).toContainText('Engine not running');
  await protection.getByRole('button', { name: 'Start it' }).click();
  await expect(protection).toContainText('Protected');
});

test('settings that could not be kept are said, where they were changed and in the first run', async ({ page }) => {
  await page.goto('/?mock=refused#/settings');
  await page.getByRole('switch').click();
  await expect(page.getByRole('alert')).toContainText('no space is left');
  await expect(page.getByRole('switch')).toBeChecked();
  await page.getByLabel('Popups: All').click();
  await page.getByRole('option', { name: 'Only what needs me' }).click();
  await expect(page.getByLabel('Popups: All')).toBeVisible();
  await page.getByRole('button', { name: 'Show them' }).click();
  await page.getByRole('button', { name: 'Skip' }).click();
  await expect(page.getByRole('alert')).toContainText('no space is left');
});

test('what is chosen already stays chosen', async ({ page }) => {
  await page.goto('/#/quotas');
  await page.getByRole('radio', { name: 'Tokens' }).click();
  await expect(page.getByRole('radio', { name: 'Tokens' })).toBeChecked();
});

test('an engine that can’t be started says why', async ({ page }) => {
  await page.goto('/?mock=error');
  await page.getByRole('region', { name: 'Protection' }).getByRole('button', { name: 'Start it' }).click();
  await expect(page.getByRole('alert')).toContainText('`sallyport` was not found'.replaceAll('`', ''));
});

test('a hundred thousand names are found by a part of one, and only those in sight are drawn', async ({ page }) => {
  await page.goto('/?mock=huge#/secrets');
  await page.locator('.source button').last().click();
  const names = page.getByRole('region', { name: 'Names' });
  await expect(names).toContainText('SERVICE_000000_PASSWORD');
  expect(await names.locator('code').count()).toBeLessThan(60);
  await page.getByLabel('Find a name').fill('service_09999');
  await expect(page.getByText('10 names of 100,000 names')).toBeVisible();
  await expect(names.locator('code').first()).toHaveText('SERVICE_099990_PASSWORD');
});

test('a plot says its numbers with their unit', async ({ page }) => {
  await page.goto('/#/quotas');
  const cells = page.locator('figure table td');
  await expect(cells.first()).toHaveText(/^[\d.,]+( k)?$/);
  await page.getByRole('radio', { name: 'Cost' }).click();
  await expect(cells.first()).toHaveText(/^\$\d+\.\d\d$/);
});

// The best of several loads: other work on the machine only ever makes it later.
test('the first paint comes within a second', async ({ page }) => {
  let best = Infinity;
  for (let load = 0; load < 40 && best >= 1000; load += 1) {
    await page.goto('/');
    await page.getByRole('heading', { level: 1 }).waitFor();
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
    best = Math.min(best, paint ?? Infinity);
  }
  expect(best).toBeLessThan(1000);
});

test('a request is approved for a while, and taken back; another is denied', async ({ page }) => {
  await page.goto('/#/approvals');
  const first = page.getByRole('article', { name: 'Request 14: Run a command' });
  await expect(first).toContainText('npm run migrate');
  await first.getByRole('button', { name: 'Approve…' }).click();
  await expect(first).toBeHidden();
  const granted = page.getByRole('region', { name: 'In force' });
  await expect(granted).toContainText('npm run migrate');
  await granted.getByRole('button', { name: 'Take back' }).first().click();
  await expect(page.getByRole('region', { name: 'Before' })).toContainText('Taken back');
  await page.getByRole('article').getByRole('button', { name: 'Deny' }).click();
  await expect(page.getByText('Nothing waits for you.')).toBeVisible();
});

test('a session without a language has a window, too', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(navigator, 'language', { value: 'C', configurable: true }));
  await page.goto('/');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
});
