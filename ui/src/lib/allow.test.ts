import { describe, expect, it } from 'vitest';
import { draftOf, entryFor, fingerprints, isFinding } from './allow';
import type { AuditEvent } from './types/audit';
import type { AllowEntry } from './types/ipc';

const print = (n: number) => String(n).repeat(32);
const event = {
  actions: [
    { action_type: 'finding:jwt', target: print(1), outcome: 'found' },
    { action_type: 'finding:jwt', target: print(1), outcome: 'found' },
    { action_type: 'finding:jwt', target: print(2), outcome: 'found' },
    { action_type: 'finding:api_key', target: print(3), outcome: 'found' },
    { action_type: 'file_read', target: 'src/main.rs', outcome: 'allowed' },
  ],
} as unknown as AuditEvent;

describe('what can be allowed', () => {
  it('is each value once, of the rule that found it', () => {
    expect(fingerprints(event, 'jwt')).toEqual([print(1), print(2)]);
    expect(fingerprints(event, 'secret:DB')).toEqual([]);
    expect(fingerprints({ ...event, actions: undefined } as AuditEvent, 'jwt')).toEqual([]);
    expect(event.actions!.filter((action) => !isFinding(action))).toHaveLength(1);
  });
  it('is allowed only by an entry that is in force', () => {
    const entry = (state: AllowEntry['state']): AllowEntry => ({ id: 1, fingerprint: print(1), rule: null, path: null, reason: 'demo', added_at: '', expires_at: null, state });
    expect(entryFor([entry('expired'), entry('unsealed')], print(1))).toBeUndefined();
    expect(entryFor([entry('expired'), entry('in_force')], print(1))?.state).toBe('in_force');
    expect(entryFor([entry('in_force')], print(2))).toBeUndefined();
  });
  it('ends after days, or never', () => {
    expect(draftOf(print(1), ' a demo key ', '30')).toMatchObject({ fingerprint: print(1), reason: 'a demo key', for_seconds: 2_592_000 });
    expect(draftOf(print(1), 'x', '').for_seconds).toBeNull();
  });
});
