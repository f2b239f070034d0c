import './lib/language';
import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { theme } from './lib/theme.svelte';
import { clock } from './lib/clock.svelte';
import type { Backend } from './lib/backend';

/** The app's window speaks to the engine; everything else (a browser, a test) to the mock, which a release build has not. */
async function backend(): Promise<Backend> {
  if (import.meta.env.MODE === 'production') return (await import('./lib/backend/tauri')).tauri;
  const { mock } = await import('./lib/backend/mock');
  const scene = new URLSearchParams(location.search).get('mock') ?? 'normal';
  return mock(scene as Parameters<typeof mock>[0]);
}

theme.start();
clock.start();
mount(App, { target: document.getElementById('app') as HTMLElement, props: { backend: await backend() } });
