// One question to the engine with its three states: waiting, answered, failed. The last answer stays while a new one is awaited.
// And one thing to be done by it.

import type { AppEvent, Failure } from './backend';
import { failureOf } from './backend';
import type { Engine } from './engine.svelte';
import type { Event as EngineEvent } from './types/ipc';

export class Ask<T> {
  answer = $state.raw<T | undefined>();
  failure = $state.raw<Failure | undefined>();
  waiting = $state(false);
  private turn = 0;

  constructor(private readonly question: () => Promise<T>) {}

  /** What was known is true no more. */
  forget() {
    this.answer = undefined;
    this.failure = undefined;
  }

  async again() {
    const turn = ++this.turn;
    this.waiting = true;
    try {
      const answer = await this.question();
      // A later question overtook this one.
      if (turn !== this.turn) return;
      this.answer = answer;
      this.failure = undefined;
    } catch (thrown) {
      if (turn !== this.turn) return;
      this.failure = failureOf(thrown);
    } finally {
      if (turn === this.turn) this.waiting = false;
    }
  }
}

/** One thing that is being done, and why it was not. */
export class Act {
  busy = $state(false);
  failure = $state.raw<Failure | undefined>();

  /** Gives whether it was done. */
  async run(what: () => Promise<unknown>): Promise<boolean> {
    this.busy = true;
    this.failure = undefined;
    try {
      await what();
      return true;
    } catch (thrown) {
      this.failure = failureOf(thrown);
      return false;
    } finally {
      this.busy = false;
    }
  }

  forget() {
    this.failure = undefined;
  }
}

/** Asks now, and once for each burst of these events. To be an effect: what it gives ends it. */
export function askOn(engine: Engine, kinds: (EngineEvent | AppEvent)['type'][], ask: () => void): () => void {
  let soon: ReturnType<typeof setTimeout> | undefined;
  ask();
  const stop = engine.on((event) => {
    if (!kinds.includes(event.type)) return;
    soon ??= setTimeout(() => {
      soon = undefined;
      ask();
    }, 2000);
  });
  return () => {
    clearTimeout(soon);
    stop();
  };
}
