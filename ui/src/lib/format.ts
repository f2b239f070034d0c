// Numbers for people.

/** 1,234,567 with a thin separator that screen readers skip. */
export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** 950, 12.4 k, 1.2 M: where the exact number is in the title. */
export function short(n: number): string {
  if (n < 10_000) return count(n);
  if (n < 1_000_000) return `${trim(n / 1000)} k`;
  return `${trim(n / 1_000_000)} M`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  if (n < 1024 ** 2) return `${trim(n / 1024)} KiB`;
  return `${trim(n / 1024 ** 2)} MiB`;
}

export function money(n: number): string {
  if (n > 0 && n < 0.01) return '< $0.01';
  return n.toLocaleString('en-US', { style: 'currency', currency: 'USD', maximumFractionDigits: n < 1000 ? 2 : 0 });
}

/** "1 value", "3 values". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

function trim(n: number): string {
  return n >= 100 ? String(Math.round(n)) : n.toFixed(1).replace(/\.0$/, '');
}
