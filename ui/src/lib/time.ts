// Times as people say them. Absolute ones are for titles and detail; every function takes `now`, so tests need no clock.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "just now", "4 min ago", "2 h ago", "yesterday 14:02", "12 Mar". Future moments: "in 4 min". */
export function relative(at: Date, now: Date): string {
  const past = now.getTime() - at.getTime();
  if (past < 0) return `in ${span(-past)}`;
  if (past < 45_000) return 'just now';
  if (past < 12 * HOUR && sameDay(at, now)) return `${span(past)} ago`;
  if (sameDay(at, now)) return clock(at);
  if (sameDay(new Date(at.getTime() + DAY), now)) return `yesterday ${clock(at)}`;
  const year = at.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' as const };
  return at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', ...year });
}

/** "Thursday 26 November 2026, 14:02:07". */
export function absolute(at: Date): string {
  const day = at.toLocaleDateString('en-GB', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
  return `${day}, ${at.toLocaleTimeString('en-GB')}`;
}

/** "14:02". */
export function clock(at: Date): string {
  return at.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}

/** The largest unit alone: "45 s", "4 min", "2 h", "3 d". */
export function span(milliseconds: number): string {
  if (milliseconds < MINUTE) return `${Math.max(1, Math.round(milliseconds / 1000))} s`;
  if (milliseconds < HOUR) return `${Math.round(milliseconds / MINUTE)} min`;
  if (milliseconds < 2 * DAY) return `${Math.round(milliseconds / HOUR)} h`;
  return `${Math.round(milliseconds / DAY)} d`;
}

/** "4:59", "1:00:00": for what runs out. */
export function countdown(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export function startOfDay(now: Date): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate());
}

function sameDay(a: Date, b: Date): boolean {
  return a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate();
}
