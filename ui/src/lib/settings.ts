// Values of settings as people read them: lengths of time and sizes with their unit, one line for each part. Pure.

import { bytes, count, plural } from './format';
import { span } from './time';

/** Keys whose numbers are seconds. */
const SECONDS = new Set(['elevation.max_duration', 'elevation.approval_timeout']);

export function lines(key: string, value: unknown): string[] {
  if (typeof value === 'number') return [number(key, value)];
  if (Array.isArray(value) && value.length > 0) return value.map(inline);
  if (isParts(value) && Object.keys(value).length > 0) return Object.entries(value).map(([name, part]) => `${name}: ${inline(part)}`);
  return [inline(value)];
}

function number(key: string, n: number): string {
  if (key.endsWith('_bytes')) return bytes(n);
  if (key.endsWith('_days')) return plural(n, 'day');
  if (SECONDS.has(key)) return span(n * 1000);
  return count(n);
}

function inline(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  if (value === true) return 'yes';
  if (value === false) return 'no';
  if (typeof value === 'number') return count(value);
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(inline).join(', ');
  if (!isParts(value)) return String(value);
  const parts = Object.entries(value).map(([name, part]) => `${words(name)} ${inline(part)}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function isParts(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `requestsPerMinute` → "requests per minute". */
function words(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, (_, last: string, first: string) => `${last} ${first.toLowerCase()}`);
}
