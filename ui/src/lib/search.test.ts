import { describe, expect, it } from 'vitest';
import { MockTrail } from './backend/mock-trail';
import { hasWords } from './search';

describe('words in a row', () => {
  const row = { ...new MockTrail(50, new Date()).row(20), event_id: '019ac1d2-7777-7000-8000-000000000001', event_type: 'prompt_sent' as const };

  it('stand in its values, in either case and any order', () => {
    const name = row.ai_provider.name!;
    expect(hasWords(row, `${name.toUpperCase()}  prompt`)).toBe(true);
    expect(hasWords(row, `prompt ${name} nowhere`)).toBe(false);
    expect(hasWords(row, 'event_type')).toBe(false);
  });

  it('may be the beginning of an id', () => {
    expect(hasWords(row, '019AC1D2-77')).toBe(true);
    expect(hasWords(row, '19ac1d2-77')).toBe(false);
    expect(hasWords(row, '019ac1d')).toBe(false);
  });
});
