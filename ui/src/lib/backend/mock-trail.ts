// A made-up trail: every row follows from its number alone, so a million rows need no memory and tests see the same each time.

import { hasWords } from '../search';
import type { AuditEvent } from '../types/audit';
import type { ActivityCounts, AuditFilter } from '../types/ipc';

const ANTHROPIC = { name: 'anthropic', model: 'claude-sonnet-4-5', endpoint: 'api.anthropic.com/v1/messages' };
const OPENAI = { name: 'openai', model: 'gpt-5.2-codex', endpoint: 'api.openai.com/v1/responses' };
const GOOGLE = { name: 'google', model: 'gemini-3-pro', endpoint: 'generativelanguage.googleapis.com/v1beta' };
const MISTRAL = { name: 'mistral', model: 'devstral-medium', endpoint: 'api.mistral.ai/v1/chat/completions' };
/** Each tool with the providers that it speaks to. */
const TOOLS = [
  { tool: 'claude-code', providers: [ANTHROPIC] },
  { tool: 'codex', providers: [OPENAI] },
  { tool: 'cursor', providers: [ANTHROPIC, OPENAI] },
  { tool: 'gemini-cli', providers: [GOOGLE] },
  { tool: 'python-openai', providers: [OPENAI, MISTRAL] },
] as const;
const RULES = ['secret:PAYMENTS_DB_PASSWORD', 'aws_key', 'api_key', 'pii_email_with_name', 'connection_string', 'secret:DEPLOY_TOKEN', 'jwt'] as const;
const CONTROLS = [
  { action_type: 'secrets_synced', outcome: '25 secrets of 4 sources' },
  { action_type: 'policy_reloaded', outcome: 'version 7c1d0e52a9b3f846' },
  { action_type: 'self_test', outcome: 'passed' },
  { action_type: 'protection_off', outcome: 'off for 300 s; reason: packet trace' },
] as const;

/** A small hash of a number, between 0 and 1. */
function chance(n: number, salt: number): number {
  let x = (n * 0x9e3779b1 + salt * 0x85ebca6b) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

function hex(n: number, length: number): string {
  let text = '';
  for (let i = 0; text.length < length; i++) {
    text += Math.floor(chance(n, 100 + i) * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  }
  return text.slice(0, length);
}

function uuid(n: number): string {
  const h = hex(n, 32);
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-7${h.slice(13, 16)}-8${h.slice(17, 20)}-${h.slice(20)}`;
}

/** Exchanges begun in each hour of a day, from midnight on (UTC). */
const HOURS = [0, 0, 0, 0, 0, 0, 1, 4, 14, 22, 27, 24, 9, 16, 26, 25, 19, 12, 5, 2, 6, 8, 3, 1];
const A_DAY = HOURS.reduce((sum, n) => sum + n, 0);
const HOUR = 3_600_000;

export class MockTrail {
  private recent: AuditEvent[] | undefined;

  constructor(
    readonly rows: number,
    private readonly now: Date,
  ) {}

  /** Row `seq`, from 1 to `rows`; prompts have odd numbers, their answers the even ones behind them. */
  row(seq: number): AuditEvent {
    const pair = Math.ceil(seq / 2);
    const first = seq % 2 === 1;
    const answered = first ? 0 : 2_000 + 20_000 * chance(pair, 2);
    const at = new Date(this.began(pair) + answered);
    const { tool, providers } = pick(TOOLS, chance(pair, 3) ** 1.8);
    const provider = pick(providers, chance(pair, 4));
    const base: AuditEvent = {
      seq,
      prev_hash: hex(seq - 1, 64),
      event_id: uuid(seq),
      event_type: first ? 'prompt_sent' : 'completion_received',
      timestamp: at.toISOString(),
      exchange_id: uuid(pair + 5_000_000),
      actor: { user_id: 'ann', agent_id: tool, service_account: 'coding-assistant', ip_address: '127.0.0.1', user_agent: `${tool}/2.1` },
      ai_provider: { name: provider.name, model: provider.model, endpoint: provider.endpoint, api_version: 'v1' },
      compliance: { data_residency: 'us', retention_policy: '30 days', consent_verified: false },
    };
    const dice = chance(pair, 5);
    if (dice > 0.965) return first ? this.control(base, pair) : this.failure(base);
    if (dice > 0.945) return first ? this.refusal(base, pair) : this.failure(base);
    if (first) {
      const taken = dice < 0.13 ? 1 + Math.floor(chance(pair, 7) * 3) : 0;
      base.request = {
        prompt_hash: hex(seq, 64),
        prompt_length: Math.round(1200 + 84_000 * chance(pair, 8) ** 2),
        contains_code: chance(pair, 9) > 0.3,
        classification: taken > 0 ? 'internal' : pick(['public', 'public', 'internal'] as const, chance(pair, 10)),
        redactions_applied: Array.from({ length: taken }, (_, i) => pick(RULES, chance(pair * 7 + i, 11))),
      };
      const credentials = base.request.redactions_applied.filter((rule) => !rule.startsWith('secret:') && !rule.startsWith('pii_'));
      if (dice > 0.13 && dice < 0.145) {
        base.violation_type = 'prompt_injection';
        base.actions = [{ action_type: 'injection:hidden_task', target: 'messages[6].content[0]', outcome: dice < 0.14 ? 'neutralised' : 'warned', requires_review: false }];
      }
      if (credentials.length > 0) base.actions = credentials.map((rule, i) => ({ action_type: `finding:${rule}`, target: hex(pair * 7 + i, 32), outcome: 'found', requires_review: false }));
      return base;
    }
    base.response = {
      completion_hash: hex(seq, 64),
      completion_length: Math.round(300 + 9000 * chance(pair, 12)),
      tokens_used: Math.round(900 + 21_000 * chance(pair, 13) ** 2),
      latency_ms: Math.round(600 + 8000 * chance(pair, 14) ** 2),
      finish_reason: chance(pair, 15) > 0.96 ? 'aborted' : 'end_turn',
    };
    if (chance(pair, 16) > 0.985) {
      base.actions = [{ action_type: 'response_redacted', target: 'secret:DEPLOY_TOKEN', outcome: 'redacted', requires_review: false }];
    }
    return base;
  }

  /** When the exchange of rows 2n-1 and 2n began: counted back from now through days of the same shape. */
  private began(pair: number): number {
    const back = Math.ceil(this.rows / 2) - pair;
    const days = Math.floor(back / A_DAY);
    let left = back % A_DAY;
    const hour = Math.floor(this.now.getTime() / HOUR);
    // The hour that runs has only begun.
    const share = (this.now.getTime() % HOUR) / HOUR;
    for (let h = 0; ; h++) {
      const per = HOURS[(((hour - h) % 24) + 24) % 24] ?? 0;
      const here = h === 0 ? Math.floor(per * share) : per;
      const until = h === 0 ? this.now.getTime() - 45_000 : (hour - h + 1) * HOUR;
      const length = h === 0 ? HOUR * share : HOUR;
      if (left < here) return until - ((left + 0.5) / here) * length * 0.97 - days * 24 * HOUR;
      left -= here;
      if (h > 48) return until - days * 24 * HOUR;
    }
  }

  /** Newest or oldest first, as the engine pages. */
  query(filter: AuditFilter): { rows: AuditEvent[]; more: boolean } {
    const limit = Math.min(filter.limit ?? 10_000, 10_000);
    const rows: AuditEvent[] = [];
    let seq = filter.newest_first ? Math.min(this.rows, (filter.before_seq ?? this.rows + 1) - 1) : (filter.after_seq ?? 0) + 1;
    const least = filter.newest_first ? (filter.after_seq ?? 0) + 1 : 1;
    for (let looked = 0; seq >= least && seq <= this.rows && looked < 60_000; looked++, seq += filter.newest_first ? -1 : 1) {
      const row = this.row(seq);
      if (!matches(row, filter)) continue;
      if (rows.length === limit) return { rows, more: true };
      rows.push(row);
    }
    return { rows, more: false };
  }

  counts(since: Date, until: Date): ActivityCounts & { tools: Map<string, number>; providers: Map<string, number>; rules: Map<string, number> } {
    const counts = { prompts: 0, redacted: 0, refused: 0, errors: 0, tools: new Map(), providers: new Map(), rules: new Map() };
    // Made once, since a day is counted hour by hour.
    this.recent ??= Array.from({ length: Math.min(this.rows, 6000) }, (_, i) => this.row(this.rows - i));
    const [from, to] = [since.toISOString(), until.toISOString()];
    for (const row of this.recent) {
      if (row.timestamp < from || row.timestamp >= to) continue;
      if (row.event_type === 'prompt_sent') {
        counts.prompts++;
        add(counts.tools, row.actor.agent_id ?? 'unknown');
        add(counts.providers, row.ai_provider.name ?? 'unknown');
      }
      if (row.event_type === 'policy_violation') counts.refused++;
      if (row.event_type === 'error') counts.errors++;
      if (row.request?.redactions_applied.length) counts.redacted++;
      for (const rule of row.request?.redactions_applied ?? []) add(counts.rules, rule);
    }
    return counts;
  }

  private control(base: AuditEvent, pair: number): AuditEvent {
    const action = pick(CONTROLS, chance(pair, 20));
    const { exchange_id: _, compliance: __, ...rest } = base;
    return {
      ...rest,
      event_type: 'action_executed',
      actor: { user_id: 'ann' },
      ai_provider: { name: 'none' },
      actions: [{ ...action, target: 'sallyport', requires_review: false }],
    };
  }

  private refusal(base: AuditEvent, pair: number): AuditEvent {
    return {
      ...base,
      event_type: 'policy_violation',
      violation_type: pick(['signed_text', 'opaque', 'command_denied'] as const, chance(pair, 21)),
      request: { prompt_hash: hex(pair, 64), prompt_length: 18_204, contains_code: true, classification: 'confidential', redactions_applied: ['private_key'] },
      actions: [{ action_type: 'request_blocked', target: base.ai_provider.endpoint ?? '', outcome: 'blocked', requires_review: false }],
    };
  }

  private failure(base: AuditEvent): AuditEvent {
    return {
      ...base,
      event_type: 'error',
      actions: [{ action_type: 'exchange_failed', target: base.ai_provider.endpoint ?? '', outcome: 'upstream_broke', requires_review: false }],
    };
  }
}

function matches(row: AuditEvent, filter: AuditFilter): boolean {
  const taken = (row.request?.redactions_applied.length ?? 0) > 0;
  return (
    (!filter.event_type || row.event_type === filter.event_type) &&
    (!filter.provider || row.ai_provider.name === filter.provider) &&
    (!filter.agent || row.actor.agent_id === filter.agent) &&
    (!filter.exchange_id || row.exchange_id === filter.exchange_id) &&
    (!filter.classification || row.request?.classification === filter.classification) &&
    (filter.redacted === null || filter.redacted === undefined || filter.redacted === taken) &&
    (!filter.since || row.timestamp >= filter.since) &&
    (!filter.until || row.timestamp < filter.until) &&
    (!filter.rule || (row.request?.redactions_applied ?? []).includes(filter.rule)) &&
    (!filter.text || hasWords(row, filter.text))
  );
}

function pick<T>(from: readonly T[], at: number): T {
  return from[Math.min(from.length - 1, Math.floor(at * from.length))] as T;
}

function add(counts: Map<string, number>, name: string) {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
