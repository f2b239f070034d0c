import { defineConfig } from '@playwright/test';
import { shared } from './browser';

const fonts = new URL('fonts.conf', import.meta.url).pathname;

export default defineConfig({
  ...shared,
  testMatch: 'screenshots.ts',
  // High enough for the day's plot.
  use: { ...shared.use, viewport: { width: 1280, height: 848 }, launchOptions: { ...shared.use?.launchOptions, env: { ...process.env, FONTCONFIG_FILE: fonts } as Record<string, string> } },
});
