// Words looked for in a row, as the engine looks for them (crates/audit/src/query.rs): each stands in one of the values, in either
// case; ids and hashes are found by their beginning. Pure.

import type { AuditEvent } from './types/audit';

export function hasWords(event: AuditEvent, text: string): boolean {
  const { seq: _, prev_hash: __, event_id, exchange_id, timestamp: ___, ...rest } = event;
  const { prompt_hash, ...request } = rest.request ?? {};
  const { completion_hash, ...response } = rest.response ?? {};
  const values = strings({ ...rest, request, response });
  const ids = [event_id, exchange_id, prompt_hash, completion_hash].filter((id) => id !== undefined);
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => values.some((value) => value.includes(word)) || (/^[0-9a-f-]{8,64}$/.test(word) && ids.some((id) => id.startsWith(word))));
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value.toLowerCase()];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}
