// Text of agents, tools and models as it is: signs that can't be seen, or that turn around what stands beside them, are shown by their
// number. Whoever approves a command must see the command that will run. Pure.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Line breaks and tabs stay: they are seen where text keeps its lines. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (sign) => {
    if (sign === '\n' || sign === '\t') return sign;
    return `⟨U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`;
  });
}
