import { describe, expect, it } from 'vitest';
import { countdown, relative, span } from './time';

const now = new Date('2026-03-12T14:24:00Z');
const before = (seconds: number) => new Date(now.getTime() - seconds * 1000);

describe('relative', () => {
  it.each([
    [10, 'just now'],
    [240, '4 min ago'],
    [2 * 3600, '2 h ago'],
    [24 * 3600, 'yesterday 14:24'],
    [5 * 86_400, '7 Mar'],
    [400 * 86_400, '5 Feb 2025'],
    [-300, 'in 5 min'],
  ])('%d seconds back is %s', (seconds, words) => {
    expect(relative(before(seconds), now)).toBe(words);
  });

  it('names the hour where "ago" would span midnight', () => {
    const early = new Date('2026-03-12T01:10:00Z');
    expect(relative(new Date('2026-03-11T23:50:00Z'), early)).toBe('yesterday 23:50');
  });
});

describe('span and countdown', () => {
  it('uses the largest unit alone', () => {
    expect([span(400), span(59_000), span(90_000), span(47 * 3_600_000), span(72 * 3_600_000)]).toEqual(['1 s', '59 s', '2 min', '47 h', '3 d']);
  });
  it('never counts below nothing', () => {
    expect([countdown(299_001), countdown(3_600_000), countdown(-5)]).toEqual(['5:00', '1:00:00', '0:00']);
  });
});
