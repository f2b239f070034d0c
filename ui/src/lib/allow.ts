// What a person said is no secret: the findings of a row, and the entries about them. Pure.

import type { AuditEvent } from './types/audit';
import type { AllowDraft, AllowEntry } from './types/ipc';

/** Fingerprints of what a rule found, as the row's actions have them. Known secrets have none: they stay protected. */
export function fingerprints(event: AuditEvent, rule: string): string[] {
  const found = (event.actions ?? []).filter((action) => action.action_type === `finding:${rule}`);
  return [...new Set(found.map((action) => action.target).filter((target) => target !== undefined))];
}

/** An action that only carries a fingerprint is no deed. */
export function isFinding(action: { action_type: string }): boolean {
  return action.action_type.startsWith('finding:');
}

/** The entry by which a value is allowed now. */
export function entryFor(entries: AllowEntry[], fingerprint: string): AllowEntry | undefined {
  return entries.find((entry) => entry.fingerprint === fingerprint && entry.state === 'in_force');
}

export const ENDS: { value: string; label: string }[] = [
  { value: '30', label: 'For 30 days' },
  { value: '90', label: 'For 90 days' },
  { value: '', label: 'Until I take it back' },
];

export function draftOf(fingerprint: string, reason: string, days: string): AllowDraft {
  return { fingerprint, value: null, rule: null, path: null, reason: reason.trim(), for_seconds: days === '' ? null : Number(days) * 86_400 };
}
