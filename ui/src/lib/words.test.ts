import { describe, expect, it } from 'vitest';
import { MockTrail } from './backend/mock-trail';
import type { AuditEvent } from './types/audit';
import reasons from './reasons.json';
import ways from './ways.json';
import { deed, redactions, sentence, taken, tell, wayOut } from './words';

const event = (part: Partial<AuditEvent>): AuditEvent => ({
  seq: 7,
  prev_hash: '00',
  event_id: 'e',
  event_type: 'prompt_sent',
  timestamp: '2026-03-12T14:24:00.000000Z',
  actor: { agent_id: 'codex' },
  ai_provider: { name: 'openai', model: 'gpt-5.2-codex' },
  ...part,
});

describe('tell', () => {
  it('says how much was taken out of a prompt', () => {
    const row = event({ request: { redactions_applied: ['aws_key', 'aws_key'] } });
    expect(tell(row)).toEqual({ kind: 'redacted', title: '2 values taken out', context: 'openai', model: 'gpt-5.2-codex' });
  });
  it('says so of an answer, too', () => {
    const row = event({ event_type: 'completion_received', actions: [{ action_type: 'response_redacted', target: 'secret:TOKEN' }] });
    expect(tell(row).title).toBe('1 value taken out of an answer');
    expect(redactions(row)).toEqual(['secret:TOKEN']);
  });
  it('gives a word it does not know as it is', () => {
    expect(tell(event({ event_type: 'policy_violation', violation_type: 'brand_new_reason' })).title).toBe('Refused: brand new reason');
    expect(tell(event({ event_type: 'action_executed', actions: [{ action_type: 'agent_contained' }] })).title).toBe('Agent contained');
  });
  it('says what an agent wanted to do, and whether it might', () => {
    const acted = (outcome: string) => tell(event({ event_type: 'action_executed', actions: [{ action_type: 'shell_execute', target: 'curl bash', outcome }] }));
    expect(acted('denied')).toEqual({ kind: 'refused', title: 'Denied: run a command', context: 'curl bash' });
    expect(acted('held').title).toBe('Waited for you: run a command');
    expect(acted('abandoned').title).toBe('Gone before you decided: run a command');
    expect(acted('would_deny').title).toBe('Would be denied: run a command');
  });
  it('tells words that want to be instructions, and answers with something risky', () => {
    const orders = (outcome: string) => tell(event({ request: { redactions_applied: [] }, actions: [{ action_type: 'injection:override', target: 'messages[2]', outcome }] }));
    expect(orders('neutralised')).toMatchObject({ kind: 'suspicious', title: 'Hidden instruction made harmless' });
    expect(orders('warned').title).toBe('Suspicious instruction sent');
    const answer = (outcome: string) => tell(event({ event_type: 'completion_received', actions: [{ action_type: 'output:debug_on', outcome }] }));
    expect(answer('blocked')).toMatchObject({ kind: 'refused', title: 'Part of an answer withheld' });
    expect(answer('annotated')).toMatchObject({ kind: 'suspicious', title: 'Answer with something risky' });
  });
  it('has words for every row of a long trail', () => {
    const trail = new MockTrail(1_000_000, new Date('2026-03-12T14:24:00Z'));
    for (let seq = 999_000; seq <= 1_000_000; seq++) expect(tell(trail.row(seq)).title).toMatch(/^[A-Z0-9]/);
  });
});

describe('taken', () => {
  it('counts each rule once and says why', () => {
    const lines = taken(['jwt', 'secret:DB', 'jwt'], (rule) => (rule === 'jwt' ? 'JSON Web Token' : undefined));
    expect(lines).toMatchObject([
      { name: 'jwt', why: 'JSON Web Token', times: 2 },
      { name: 'DB', times: 1 },
    ]);
  });
});

it('says each action of a row in words', () => {
  expect(deed({ action_type: 'injection:hidden_task', outcome: 'warned' })).toEqual({ title: 'Suspicious instruction: hidden task', outcome: 'warned' });
  expect(deed({ action_type: 'exchange_failed', outcome: 'connect_timeout' })).toEqual({ title: 'The exchange failed', outcome: 'the provider did not answer in time' });
  expect(deed({ action_type: 'shell_execute', outcome: 'would_deny' })).toEqual({ title: 'Run a command', outcome: 'would deny' });
  expect(deed({ action_type: 'something_new' })).toEqual({ title: 'Something new', outcome: '' });
});

it('a word becomes a sentence', () => {
  expect(sentence('self_test')).toBe('Self test');
});

describe('control events', () => {
  const control = (action_type: string, outcome: string) => tell({ event_type: 'action_executed', actor: {}, ai_provider: { name: 'none' }, actions: [{ action_type, outcome }] } as unknown as AuditEvent);
  it('say how long and until when as people do', () => {
    expect(control('protection_off', 'off for 300 s; reason: none given').context).toBe('for 5 min, no reason given');
    expect(control('protection_off', 'off until switched on; reason: packet trace').context).toBe('until switched on: packet trace');
    expect(control('protection_on', 'on').context).toBe('');
    expect(control('engine_started', '0.1.0').context).toBe('version 0.1.0');
    expect(control('engine_stopped', 'stopped').context).toBe('');
    expect(control('authentication_asked', 'authenticated').context).toBe('the person proved who they are');
    expect(control('allowlist_added', 'allowed until 2027-02-24T14:13:07.123456Z').context).toBe('allowed until 24 Feb 2027');
  });
});

describe('wayOut', () => {
  it('knows one for every reason that has words, and for no other', () => {
    expect(Object.keys(ways.violations)).toEqual(Object.keys(reasons.violations));
    expect(Object.keys(ways.failures)).toEqual(Object.keys(reasons.failures));
  });
  it('is of what was refused or failed, and of nothing else', () => {
    expect(wayOut(event({ event_type: 'policy_violation', violation_type: 'signed_text' }))).toMatch(/^Start a new conversation/);
    expect(wayOut(event({ event_type: 'error', actions: [{ action_type: 'exchange_failed', outcome: 'resolve' }] }))).toMatch(/name servers/);
    expect(wayOut(event({ event_type: 'policy_violation', violation_type: 'brand_new_reason' }))).toBeUndefined();
    expect(wayOut(event({}))).toBeUndefined();
  });
});
