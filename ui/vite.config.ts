import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The browser keeps the same rules as the app's window, so that nothing works here that would not work there.
const tauri = JSON.parse(readFileSync(new URL('../src-tauri/tauri.conf.json', import.meta.url), 'utf8'));
const csp: string = tauri.app.security.csp;

export default defineConfig({
  plugins: [svelte()],
  build: { manifest: true, target: 'safari16', chunkSizeWarningLimit: 700 },
  preview: { headers: { 'Content-Security-Policy': csp } },
  test: { include: ['src/**/*.test.ts'], environment: 'node', env: { TZ: 'UTC' } },
});
