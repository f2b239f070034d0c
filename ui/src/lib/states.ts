// The four states and the engine's absence, in words. Each has its own icon; tones only help.

import CirclePause from '@lucide/svelte/icons/circle-pause';
import Ellipsis from '@lucide/svelte/icons/ellipsis';
import Plug from '@lucide/svelte/icons/unplug';
import ShieldAlert from '@lucide/svelte/icons/shield-alert';
import ShieldCheck from '@lucide/svelte/icons/shield-check';
import ShieldOff from '@lucide/svelte/icons/shield-off';
import type { Icon } from './icon';
import type { State } from './types/ipc';

export interface StateWords {
  word: string;
  sentence: string;
  tone: 'accent' | 'amber' | 'red' | 'plain';
  icon: Icon;
}

export const STATES: Record<State | 'away' | 'asking', StateWords> = {
  protected: {
    word: 'Protected',
    sentence: 'What your AI tools send is checked before it leaves.',
    tone: 'accent',
    icon: ShieldCheck,
  },
  attention: {
    word: 'Needs attention',
    sentence: 'AI traffic is checked, but something below needs you.',
    tone: 'amber',
    icon: ShieldAlert,
  },
  paused: {
    word: 'Paused',
    sentence: 'AI traffic passes unread.',
    tone: 'amber',
    icon: CirclePause,
  },
  off: {
    word: 'Off',
    sentence: 'AI traffic passes unread until you switch protection on again.',
    tone: 'red',
    icon: ShieldOff,
  },
  asking: {
    word: 'Asking the engine…',
    sentence: 'It has not answered yet.',
    tone: 'plain',
    icon: Ellipsis,
  },
  away: {
    word: 'Engine not running',
    sentence: 'Tools that go through Sallyport can’t reach their provider until it is back.',
    tone: 'red',
    icon: Plug,
  },
};
