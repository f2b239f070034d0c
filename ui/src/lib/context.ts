import { getContext } from 'svelte';
import type { Engine } from './engine.svelte';

/** The engine of this window. */
export function engineContext(): Engine {
  return getContext<Engine>('engine');
}
