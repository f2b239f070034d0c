// What a row of the trail says in a person's words. Texts come from closed lists; anything else is shown as the word it is.

import { span } from './time';
import type { AuditEvent } from './types/audit';
import { plural } from './format';
// The popups say the same.
import reasons from './reasons.json';
import ways from './ways.json';

const DONE: Record<string, string> = reasons.calls;
const VIOLATIONS: Record<string, string> = reasons.violations;
const FAILURES: Record<string, string> = reasons.failures;
const WAYS_OUT: Record<string, string> = ways.violations;
const REMEDIES: Record<string, string> = ways.failures;

/** What kind of thing happened; each has its own icon. */
export type Happening = 'sent' | 'received' | 'redacted' | 'suspicious' | 'refused' | 'failed' | 'control' | 'off';

export interface Told {
  kind: Happening;
  title: string;
  /** Where it went, or what came of it. */
  context: string;
  model?: string | undefined;
}

export function tell(event: AuditEvent): Told {
  const went = contextOf(event);
  switch (event.event_type) {
    case 'prompt_sent': {
      const taken = event.request?.redactions_applied.length ?? 0;
      const orders = (event.actions ?? []).filter((a) => a.action_type.startsWith('injection:'));
      if (orders.length > 0 && taken === 0) {
        const harmless = orders.every((a) => a.outcome === 'neutralised');
        return { kind: 'suspicious', title: harmless ? 'Hidden instruction made harmless' : 'Suspicious instruction sent', ...went };
      }
      if (taken === 0) return { kind: 'sent', title: 'Prompt sent', ...went };
      return { kind: 'redacted', title: `${plural(taken, 'value')} taken out`, ...went };
    }
    case 'completion_received': {
      const taken = (event.actions ?? []).filter((a) => a.action_type === 'response_redacted').length;
      if (taken > 0) return { kind: 'redacted', title: `${plural(taken, 'value')} taken out of an answer`, ...went };
      const dangerous = (event.actions ?? []).filter((a) => a.action_type.startsWith('output:'));
      if (dangerous.some((a) => a.outcome === 'blocked')) return { kind: 'refused', title: 'Part of an answer withheld', ...went };
      if (dangerous.length > 0) return { kind: 'suspicious', title: 'Answer with something risky', ...went };
      if (event.response?.finish_reason === 'aborted') return { kind: 'received', title: 'Answer cut short by the tool', ...went };
      return { kind: 'received', title: 'Answer received', ...went };
    }
    case 'policy_violation':
      return { kind: 'refused', title: `Refused: ${violation(event.violation_type)}`, ...went };
    case 'error':
      return { kind: 'failed', title: `Failed: ${failure(event.actions?.[0]?.outcome)}`, ...went };
    case 'action_executed': {
      const action = event.actions?.[0];
      const done = DONE[action?.action_type ?? ''];
      if (done) return { ...call(done, action?.outcome), context: action?.target ?? '' };
      const known = CONTROL[action?.action_type ?? ''];
      const title = known ?? sentence(action?.action_type ?? 'Action');
      const detail = outcomeWords(action?.outcome ?? '', action?.action_type);
      return { kind: action?.action_type === 'protection_off' ? 'off' : 'control', title, context: detail };
    }
  }
}

/** Outcomes of control events are written for programs too: times and lengths in a person's words. */
function outcomeWords(outcome: string, kind = ''): string {
  if (outcome === 'on' || outcome === 'stopped' || outcome === 'used') return '';
  if (kind === 'engine_started') return `version ${outcome}`;
  return outcome
    .replace(/^off for (\d+) s; reason: /, (_, seconds: string) => `for ${span(Number(seconds) * 1000)}: `)
    .replace(/^off until switched on; reason: /, 'until switched on: ')
    .replace(/: none given$/, ', no reason given')
    .replace(/^authenticated$/, 'the person proved who they are')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) => new Date(time).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' }));
}

/** A tool call of an answer: the first entry is the worst one. */
function call(done: string, outcome: string | undefined): { kind: Happening; title: string } {
  switch (outcome) {
    case 'denied':
      return { kind: 'refused', title: `Denied: ${done}` };
    case 'would_deny':
      return { kind: 'control', title: `Would be denied: ${done}` };
    case 'held':
      return { kind: 'control', title: `Waited for you: ${done}` };
    case 'abandoned':
      return { kind: 'control', title: `Gone before you decided: ${done}` };
    case 'allowed_by_grant':
      return { kind: 'control', title: `Allowed by a grant: ${done}` };
    default:
      return { kind: 'control', title: `Allowed: ${done}` };
  }
}

function contextOf(event: AuditEvent): { context: string; model?: string } {
  const { name, model } = event.ai_provider;
  if (!name || name === 'none') return { context: '' };
  return model ? { context: name, model } : { context: name };
}

const CONTROL: Record<string, string> = {
  agent_session_ended: 'Agent ended',
  agent_session_started: 'Agent started',
  allowlist_added: 'Said to be no secret',
  allowlist_removed: 'No longer said to be no secret',
  authentication_asked: 'Asked who is at the desk',
  ca_removed: 'Certificate removed',
  engine_started: 'Engine started',
  engine_stopped: 'Engine stopped',
  policy_reloaded: 'Policy read again',
  protection_off: 'Protection switched off',
  protection_on: 'Protection switched on',
  secrets_synced: 'Secrets read again',
  key_inserted: 'Key put into a request',
  secrets_handed_over: 'Secrets handed to a tool',
  secrets_refused: 'Secrets refused to a tool',
  self_test: 'Self-test run',
  shadow_ai_seen: 'AI host seen that policy has not approved',
  audit_discontinuity: 'The trail did not continue from its head',
  audit_gap: 'Events could not be written',
  audit_purge: 'Old rows removed by retention',
  elevation_requested: 'Permission asked for',
  elevation_granted: 'Permission granted',
  elevation_approved: 'Permission granted',
  elevation_denied: 'Permission denied',
  elevation_revoked: 'Permission taken back',
  elevation_expired: 'Permission ran out',
  elevation_file_refused: 'File of permissions refused',
  elevation_token_refused: 'Signed permission refused',
  elevation_used: 'Permission used',
};

export function violation(type: string | undefined): string {
  return VIOLATIONS[type ?? ''] ?? sentence(type ?? 'policy').toLowerCase();
}

function failure(code: string | undefined): string {
  return FAILURES[code ?? ''] ?? sentence(code ?? 'unknown reason').toLowerCase();
}

/** What a person can do about a row that says no; nothing where there is nothing to do, or nobody knows. */
export function wayOut(event: AuditEvent): string | undefined {
  if (event.event_type === 'policy_violation') return WAYS_OUT[event.violation_type ?? ''];
  if (event.event_type === 'error') return REMEDIES[event.actions?.[0]?.outcome ?? ''];
  return undefined;
}

/** One action of a row, for its details. */
export function deed(action: { action_type: string; outcome?: string | undefined }): { title: string; outcome: string } {
  const [kind = '', rule] = action.action_type.split(':');
  const outcome = action.outcome ?? '';
  if (rule) return { title: `${RULED[kind] ?? sentence(kind)}: ${sentence(rule).toLowerCase()}`, outcome };
  const title = DEEDS[kind] ?? CONTROL[kind] ?? sentence(DONE[kind] ?? kind);
  if (kind === 'exchange_failed') return { title, outcome: failure(outcome) };
  return { title, outcome: DONE[kind] ? sentence(outcome).toLowerCase() : outcomeWords(outcome, kind) };
}

/** Actions that a rule caused, by what stands before the colon. */
const RULED: Record<string, string> = { injection: 'Suspicious instruction', output: 'Something risky' };

const DEEDS: Record<string, string> = {
  classified: 'Class lowered by the cleaning',
  exchange_failed: 'The exchange failed',
  quota_exceeded: 'A limit was passed',
  injections_counted: 'More instructions than are named, in all',
  redactions_counted: 'More were taken out than are named, in all',
  request_blocked: 'The request was refused',
  response_redacted: 'Taken out of the answer',
  tenant_restricted: 'The provider refused the account',
};

/** `dry_run_done` → "Dry run done". */
export function sentence(word: string): string {
  const text = word.replace(/[_-]+/g, ' ').trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export interface Taken {
  /** `secret:NAME` or the rule's id, as the trail has it. */
  rule: string;
  name: string;
  why: string;
  times: number;
}

/** The redactions of a row, one line for each rule. */
export function taken(rules: string[], describe: (rule: string) => string | undefined): Taken[] {
  const times = new Map<string, number>();
  for (const rule of rules) times.set(rule, (times.get(rule) ?? 0) + 1);
  return [...times].map(([rule, n]) => {
    if (rule.startsWith('secret:')) {
      const name = rule.slice('secret:'.length);
      return { rule, name, why: 'A secret of one of your sources. Its exact value stood in the text, as it is or encoded.', times: n };
    }
    return { rule, name: rule, why: describe(rule) ?? 'A detection rule matched.', times: n };
  });
}

/** Every redaction of a row: of the prompt, or of the answer. */
export function redactions(event: AuditEvent): string[] {
  if (event.request) return event.request.redactions_applied;
  return (event.actions ?? []).filter((a) => a.action_type === 'response_redacted').map((a) => a.target ?? 'rule');
}
