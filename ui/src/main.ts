import './lib/language';
import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import type { Backend } from './lib/backend';
import { tauri } from './lib/backend/tauri';
import { clock } from './lib/clock.svelte';
import { theme } from './lib/theme.svelte';

function start(backend: Backend) {
  theme.start();
  clock.start();
  mount(App, { target: document.getElementById('app') as HTMLElement, props: { backend } });
}

// The app's window speaks to the engine; everything else (a browser, a test) to the mock, which a release build has not. In the
// window nothing is waited for: it is shown as soon as this has run.
if (import.meta.env.MODE === 'production') start(tauri);
else {
  const scene = new URLSearchParams(location.search).get('mock') ?? 'normal';
  void import('./lib/backend/mock').then(({ mock }) => start(mock(scene as Parameters<typeof mock>[0])));
}
