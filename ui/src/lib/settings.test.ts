import { expect, it } from 'vitest';
import { lines } from './settings';

it('numbers have their unit', () => {
  expect(lines('max_body_bytes', 67_108_864)).toEqual(['64 MiB']);
  expect(lines('elevation.max_duration', 14_400)).toEqual(['4 h']);
  expect(lines('elevation.approval_timeout', 1800)).toEqual(['30 min']);
  expect(lines('audit.retention_days', 1)).toEqual(['1 day']);
});

it('each part has a line of its own', () => {
  expect(lines('quotas.tiers', { developer: { requestsPerMinute: 20, tokensPerDay: 100_000 }, lead: {} })).toEqual(['developer: requests per minute 20, tokens per day 100,000', 'lead: none']);
  expect(lines('secrets.files', ['~/a.env', '~/b.env'])).toEqual(['~/a.env', '~/b.env']);
});

it('what is not set says so', () => {
  for (const value of [null, [], {}]) expect(lines('broker', value)).toEqual(['none']);
  expect(lines('secrets.keychain', true)).toEqual(['yes']);
  expect(lines('listen', '127.0.0.1:8877')).toEqual(['127.0.0.1:8877']);
});
