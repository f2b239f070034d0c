import { describe, expect, it } from 'vitest';
import { LENGTHS, lengthOf, requestOf } from './pause';
import { parse } from './route.svelte';

describe('a pause', () => {
  it('is asked for by seconds, or without an end', () => {
    expect(requestOf('15')).toEqual({ for_seconds: 900, reason: null });
    expect(requestOf('off', '  packet trace ')).toEqual({ for_seconds: null, reason: 'packet trace' });
  });
  it('comes from the tray by a word of the list, and by no other', () => {
    for (const { value } of LENGTHS) expect(lengthOf(value)).toBe(value);
    for (const word of [null, '', '3600', '15 minutes']) expect(lengthOf(word)).toBeUndefined();
  });
});

describe('an address', () => {
  it('is read the same with one slash or two, as the tray sends it into an open window', () => {
    for (const hash of ['#/overview?pause=15', '#//overview?pause=15']) {
      const { page, query } = parse(hash);
      expect([page, query.get('pause')]).toEqual(['overview', '15']);
    }
    expect(parse('').page).toBe('overview');
  });
});
