// Light, dark, or as the system says. The choice is kept in this window alone.

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'sallyport.theme';

class ThemeChoice {
  choice = $state<Theme>('system');
  /** What is shown now. */
  shown = $state<'light' | 'dark'>('light');

  start() {
    const kept = localStorage.getItem(KEY);
    if (kept === 'light' || kept === 'dark') this.choice = kept;
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', () => this.apply());
    this.apply();
  }

  choose(choice: Theme) {
    this.choice = choice;
    localStorage.setItem(KEY, choice);
    this.apply();
  }

  private apply() {
    const dark = this.choice === 'dark' || (this.choice === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
    this.shown = dark ? 'dark' : 'light';
    document.documentElement.dataset.theme = this.shown;
  }
}

export const theme = new ThemeChoice();
