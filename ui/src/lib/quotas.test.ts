import { describe, expect, it } from 'vitest';
import { cost, everyDay } from './quotas';
import type { UsagePeriod } from './types/ipc';

describe('thirty days', () => {
  const used = (start: string): UsagePeriod => ({ start, requests: 9, refused: 0, input: 81, output: 18, cache_read: 0, cache_write: 0, cost_micros: 400, unpriced: 0 });
  it('are all there, whatever was used', () => {
    const days = everyDay([used('2026-03-10T00:00:00Z'), used('2026-03-12T00:00:00Z')], new Date('2026-03-12T14:24:00Z'));
    expect(days).toHaveLength(30);
    expect(days.slice(-3).map((day) => day.requests)).toEqual([9, 0, 9]);
    expect(days[0]?.start).toBe('2026-02-11T00:00:00.000Z');
  });
});

describe('cost', () => {
  it('has cents, and says when it is less than one', () => {
    expect([0, 400, 12_994_000, 1_299_400_000].map(cost)).toEqual(['$0.00', '< $0.01', '$12.99', '$1,299']);
  });
});
