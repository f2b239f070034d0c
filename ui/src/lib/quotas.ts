// Limits and what they cost, in words. Pure.

import { money } from './format';
import type { QuotaGauge, UsagePeriod } from './types/ipc';

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

const DAY = 86_400_000;

/** The last thirty days with those on which nothing was used: a plot of the others alone would lie about time. */
export function everyDay(days: UsagePeriod[], now: Date): UsagePeriod[] {
  const known = new Map(days.map((day) => [new Date(day.start).getTime(), day]));
  const today = Math.floor(now.getTime() / DAY) * DAY;
  return Array.from({ length: 30 }, (_, i) => {
    const start = today - (29 - i) * DAY;
    return known.get(start) ?? { start: new Date(start).toISOString(), requests: 0, refused: 0, input: 0, output: 0, cache_read: 0, cache_write: 0, cost_micros: 0, unpriced: 0 };
  });
}

/** The fullest first: what a person should look at. */
export function fullest(gauges: QuotaGauge[]): QuotaGauge[] {
  const share = (gauge: QuotaGauge) => (gauge.size > 0 ? gauge.used / gauge.size : 1);
  return [...gauges].sort((a, b) => share(b) - share(a));
}
