import type Home from '@lucide/svelte/icons/house';

/** Any icon of the set: they all have the same shape. */
export type Icon = typeof Home;
