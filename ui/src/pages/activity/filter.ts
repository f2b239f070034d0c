// What the Activity page is narrowed to: from the address to a question for the engine, and back. Pure.

import { hasWords } from '../../lib/search';
import type { AuditEvent } from '../../lib/types/audit';
import type { AuditFilter } from '../../lib/types/ipc';
import { startOfDay } from '../../lib/time';

export type Show = 'all' | 'redacted' | 'refused' | 'failed' | 'control';
export type Range = 'hour' | 'today' | 'week' | 'all';

export interface Narrow {
  show: Show;
  range: Range;
  text: string;
  agent: string;
  provider: string;
  rule: string;
  exchange: string;
}

export const NONE: Narrow = { show: 'all', range: 'all', text: '', agent: '', provider: '', rule: '', exchange: '' };

const SHOWS: Show[] = ['all', 'redacted', 'refused', 'failed', 'control'];
const RANGES: Range[] = ['hour', 'today', 'week', 'all'];

export function fromQuery(query: URLSearchParams): Narrow {
  const one = <T extends string>(name: string, known: T[], otherwise: T): T => known.find((k) => k === query.get(name)) ?? otherwise;
  const text = (name: string) => query.get(name) ?? '';
  return {
    show: one('show', SHOWS, 'all'),
    range: one('range', RANGES, 'all'),
    text: text('text'),
    agent: text('agent'),
    provider: text('provider'),
    rule: text('rule'),
    exchange: text('exchange'),
  };
}

/** Only what differs from showing everything. */
export function toQuery(narrow: Narrow): Record<string, string> {
  return Object.fromEntries(Object.entries(narrow).filter(([name, value]) => value !== NONE[name as keyof Narrow]));
}

export function isNarrowed(narrow: Narrow): boolean {
  return Object.keys(toQuery(narrow)).length > 0;
}

const TYPES: Partial<Record<Show, string>> = { refused: 'policy_violation', failed: 'error', control: 'action_executed' };

const DAY = 86_400_000;

export function toFilter(narrow: Narrow, now: Date): AuditFilter {
  const since = {
    hour: new Date(now.getTime() - 3_600_000),
    today: startOfDay(now),
    week: new Date(now.getTime() - 7 * DAY),
    all: undefined,
  }[narrow.range];
  return {
    since: since?.toISOString() ?? null,
    until: null,
    event_type: TYPES[narrow.show] ?? null,
    provider: narrow.provider || null,
    model: null,
    user: null,
    agent: narrow.agent || null,
    exchange_id: narrow.exchange || null,
    classification: null,
    rule: narrow.rule || null,
    text: narrow.text.trim() || null,
    redacted: narrow.show === 'redacted' ? true : null,
    after_seq: null,
    before_seq: null,
    newest_first: true,
    limit: null,
  };
}

/** A new row of the trail that just came in: does it belong into the list as it is narrowed? */
export function fits(event: AuditEvent, filter: AuditFilter): boolean {
  const taken = (event.request?.redactions_applied.length ?? 0) > 0;
  return (
    (!filter.event_type || event.event_type === filter.event_type) &&
    (!filter.provider || event.ai_provider.name === filter.provider) &&
    (!filter.agent || event.actor.agent_id === filter.agent) &&
    (!filter.exchange_id || event.exchange_id === filter.exchange_id) &&
    (filter.redacted === null || filter.redacted === taken) &&
    (!filter.since || event.timestamp >= filter.since) &&
    (!filter.rule || (event.request?.redactions_applied ?? []).includes(filter.rule)) &&
    (!filter.text || hasWords(event, filter.text))
  );
}
