// One clock for every relative time on the screen. It ticks each second only while something on the page runs out.

class Clock {
  now = $state(new Date());
  private watchers = 0;
  private timer: ReturnType<typeof setInterval> | undefined;

  start() {
    this.schedule();
    document.addEventListener('visibilitychange', () => this.schedule());
  }

  /** For countdowns; call the returned function when done. */
  everySecond(): () => void {
    this.watchers += 1;
    this.schedule();
    return () => {
      this.watchers -= 1;
      this.schedule();
    };
  }

  private schedule() {
    clearInterval(this.timer);
    // A window that nobody sees costs nothing.
    if (document.hidden) return;
    this.now = new Date();
    this.timer = setInterval(() => (this.now = new Date()), this.watchers > 0 ? 1000 : 15_000);
  }
}

export const clock = new Clock();
