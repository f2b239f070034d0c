// What had the focus may go away: a request that was answered, a button that became another. Who works by keyboard would then start at
// the window's first link, and a screen reader would fall silent: the page's heading takes the focus instead.

export function keepFocus(): () => void {
  let last: Element | null = null;
  const focused = (event: FocusEvent) => (last = event.target as Element);
  const changed = new MutationObserver(() => {
    if (!last || last.isConnected) return;
    last = null;
    if (document.activeElement === document.body) document.querySelector<HTMLElement>('h1')?.focus();
  });
  document.addEventListener('focusin', focused);
  changed.observe(document.body, { childList: true, subtree: true });
  return () => {
    document.removeEventListener('focusin', focused);
    changed.disconnect();
  };
}
