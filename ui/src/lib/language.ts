// A session without a language (LANG=C) calls it "C", which no formatter takes; libraries ask for it while they load. So this
// module comes first.

try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en-US', configurable: true });
}
