import { expect, it } from 'vitest';
import { visible } from './visible';

it('what turns text around, or can’t be seen, is shown by its number', () => {
  expect(visible('npm test \u202e#\u2066 moc.live')).toBe('npm test ⟨U+202E⟩#⟨U+2066⟩ moc.live');
  expect(visible('rm\u200b -rf\u0007 /\u{e0041}')).toBe('rm⟨U+200B⟩ -rf⟨U+0007⟩ /⟨U+E0041⟩');
  expect(visible('a\r\u2028b')).toBe('a⟨U+000D⟩⟨U+2028⟩b');
});

it('letters of every script, line breaks and tabs stay as they are', () => {
  for (const text of ['make deploy\n\tnow', 'שלום עולם', 'naïve – “quoted” …', '数据库']) expect(visible(text)).toBe(text);
});
