import { defineConfig } from '@playwright/test';
import { shared } from './browser';

const fonts = new URL('fonts.conf', import.meta.url).pathname;

export default defineConfig({
  ...shared,
  testMatch: 'screenshots.ts',
  use: { ...shared.use, launchOptions: { ...shared.use?.launchOptions, env: { ...process.env, FONTCONFIG_FILE: fonts } as Record<string, string> } },
});
