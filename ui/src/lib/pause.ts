// How long protection may be off, as the tray's menu, the overview and the dialog name it. Pure.

import type { OffRequest } from './types/ipc';

/** Minutes, or until it is switched on again. */
export type Length = '5' | '15' | '60' | 'off';

export const LENGTHS: { value: Length; label: string }[] = [
  { value: '5', label: 'For 5 minutes' },
  { value: '15', label: 'For 15 minutes' },
  { value: '60', label: 'For 60 minutes' },
  { value: 'off', label: 'Until I switch it on' },
];

/** What the tray put into the address. */
export function lengthOf(word: string | null): Length | undefined {
  return LENGTHS.find((length) => length.value === word)?.value;
}

export function requestOf(length: Length, reason = ''): OffRequest {
  return { for_seconds: length === 'off' ? null : Number(length) * 60, reason: reason.trim() || null };
}
