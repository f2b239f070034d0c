// Limits and what they cost, in words. Pure.

import { money } from './format';
import type { QuotaGauge } from './types/ipc';

const NAMES: Record<QuotaGauge['limit'], string> = {
  requests_per_minute: 'Requests this minute',
  requests_per_hour: 'Requests this hour',
  tokens_per_day: 'Tokens today',
  concurrent_requests: 'Requests at once',
  prompt_length: 'Prompt length',
};

export function limitName(limit: QuotaGauge['limit']): string {
  return NAMES[limit] ?? limit;
}

export function cost(micros: number): string {
  return money(micros / 1_000_000);
}

/** The fullest first: what a person should look at. */
export function fullest(gauges: QuotaGauge[]): QuotaGauge[] {
  const share = (gauge: QuotaGauge) => (gauge.size > 0 ? gauge.used / gauge.size : 1);
  return [...gauges].sort((a, b) => share(b) - share(a));
}
