import { describe, expect, it } from 'vitest';
import { MockTrail } from '../../lib/backend/mock-trail';
import { fits, fromQuery, isNarrowed, NONE, toFilter, toQuery, type Narrow } from './filter';

const now = new Date('2026-03-12T14:24:00Z');

describe('the address', () => {
  it('keeps what was narrowed to, and nothing else', () => {
    const narrow: Narrow = { ...NONE, show: 'refused', agent: 'codex', text: 'a&b=c #' };
    const query = new URLSearchParams(toQuery(narrow));
    expect(query.has('provider')).toBe(false);
    expect(fromQuery(query)).toEqual(narrow);
  });
  it('falls back to everything on words it does not know', () => {
    expect(fromQuery(new URLSearchParams('show=<script>&range=aeon'))).toEqual(NONE);
    expect(isNarrowed(NONE)).toBe(false);
  });
});

describe('toFilter', () => {
  it('asks for the newest first, since the right moment', () => {
    const filter = toFilter({ ...NONE, range: 'hour', show: 'redacted', text: '  ' }, now);
    expect(filter).toMatchObject({ newest_first: true, redacted: true, text: null, event_type: null, since: '2026-03-12T13:24:00.000Z' });
  });
});

describe('fits', () => {
  it('lets a new row in exactly when the engine would have found it', () => {
    const trail = new MockTrail(600, now);
    const narrows: Narrow[] = [NONE, { ...NONE, show: 'redacted' }, { ...NONE, show: 'refused' }, { ...NONE, agent: 'codex', range: 'hour' }, { ...NONE, text: 'DEPLOY' }];
    for (const narrow of narrows) {
      const filter = toFilter(narrow, now);
      const found = new Set(trail.query(filter).rows.map((row) => row.seq));
      for (let seq = 1; seq <= 600; seq++) expect(fits(trail.row(seq), filter), `${JSON.stringify(narrow)} ${seq}`).toBe(found.has(seq));
    }
  });
});
