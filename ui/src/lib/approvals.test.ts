import { expect, it } from 'vitest';
import { heldFor, inForce, meaning, outcome } from './approvals';
import type { ElevationView } from './types/ipc';

const now = new Date('2026-03-12T14:24:00Z');
const request = (part: Partial<ElevationView>): ElevationView => ({
  id: 1,
  engine: 'e',
  nonce: 'n',
  scope: 'shell:execute',
  resources: ['make'],
  account: 'a',
  justification: 'j',
  seconds: 600,
  requested_at: '2026-03-12T14:20:00Z',
  answer_by: '2026-03-12T14:50:00Z',
  state: 'pending',
  grant: null,
  uses: 0,
  decided_at: null,
  held_until: null,
  ...part,
});
const grant = (expires_at: string): ElevationView['grant'] => ({
  id: 1,
  scope: 'shell:execute',
  resources: ['make'],
  account: 'a',
  justification: 'j',
  granted_by: { by: 'person' },
  not_before: '2026-03-12T14:21:00Z',
  expires_at,
});

it('a grant is in force until its last moment, and never once it was taken back', () => {
  expect(inForce(request({ state: 'approved', grant: grant('2026-03-12T14:24:01Z') }), now)).toBe(true);
  expect(inForce(request({ state: 'used', grant: grant('2026-03-12T14:24:00Z') }), now)).toBe(false);
  expect(inForce(request({ state: 'revoked', grant: grant('2026-03-12T15:00:00Z') }), now)).toBe(false);
  expect(inForce(request({}), now)).toBe(false);
});

it('a client is kept waiting until its time, and only while nobody has answered', () => {
  expect(heldFor(request({ held_until: '2026-03-12T14:24:30Z' }), now)).toBe(30_000);
  expect(heldFor(request({ held_until: '2026-03-12T14:24:00Z' }), now)).toBeUndefined();
  expect(heldFor(request({ held_until: '2026-03-12T14:24:30Z', state: 'denied' }), now)).toBeUndefined();
  expect(heldFor(request({}), now)).toBeUndefined();
});

it('says what became of it', () => {
  expect(outcome(request({ state: 'used', uses: 1 })).word).toBe('Granted, used 1 time');
  expect(outcome(request({ state: 'expired' })).word).toBe('Not answered in time');
});

it('has words for every scope', () => {
  for (const scope of ['filesystem:write', 'shell:execute', 'network:external', 'secrets:read'] as const) expect(meaning(request({ scope })).title).not.toBe('');
});
