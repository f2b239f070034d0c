import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MockTrail } from '../backend/mock-trail';

interface Schema {
  properties: Record<string, { properties?: Record<string, unknown>; items?: { properties: Record<string, unknown> } }>;
}

// The mock is held to the trail's own schema, and the pages are written against the mock.
it('the mock knows no field that the audit schema does not know', () => {
  const file = new URL('../../../../crates/audit/assets/audit-event.schema.json', import.meta.url);
  const schema = JSON.parse(readFileSync(file, 'utf8')) as Schema;
  const ours = ['seq', 'prev_hash', 'exchange_id', 'violation_type'];
  const trail = new MockTrail(2400, new Date('2026-03-12T14:24:00Z'));
  const unknown = new Set<string>();
  for (let seq = 1; seq <= trail.rows; seq++) {
    for (const [name, value] of Object.entries(trail.row(seq))) {
      if (ours.includes(name)) continue;
      const property = schema.properties[name];
      if (!property) unknown.add(name);
      const fields = property?.properties ?? property?.items?.properties;
      const parts: object[] = Array.isArray(value) ? value : fields ? [value] : [];
      for (const part of parts) for (const field of Object.keys(part)) if (!fields || !(field in fields)) unknown.add(`${name}.${field}`);
    }
  }
  expect([...unknown]).toEqual([]);
});
