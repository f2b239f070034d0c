// Debian's Chromium, never a download; one server for the mock build.

import type { PlaywrightTestConfig } from '@playwright/test';

// Two checkouts may be tested at once; workers inherit the choice of the first process.
const PORT = Number((process.env.SALLYPORT_PAGES_PORT ??= String(4200 + (process.pid % 1000))));

export const shared: PlaywrightTestConfig = {
  testDir: '.',
  outputDir: '../test-results',
  reporter: 'line',
  forbidOnly: true,
  workers: 2,
  expect: { timeout: 60_000 },
  use: {
    baseURL: `http://127.0.0.1:${PORT}`,
    viewport: { width: 1280, height: 800 },
    launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] },
    locale: 'en-GB',
    timezoneId: 'UTC',
  },
  webServer: {
    command: `npx vite preview --outDir dist-mock --port ${PORT} --strictPort --host 127.0.0.1`,
    cwd: new URL('..', import.meta.url).pathname,
    url: `http://127.0.0.1:${PORT}`,
    reuseExistingServer: false,
    stdout: 'ignore',
  },
};

/** Every page by its name in the address, and how its heading reads. */
export const PAGES = [
  ['overview', 'Overview'],
  ['activity', 'Activity'],
  ['approvals', 'Approvals'],
  ['quotas', 'Quotas'],
  ['secrets', 'Secrets'],
  ['settings', 'Settings'],
] as const;

/** A Thursday in the middle of a working day. */
export const NOON = new Date('2026-03-12T14:24:00Z');
