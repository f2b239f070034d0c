// What is known of the engine right now, for every page: its status, whether it can be reached, and its events as they come.

import type { AppEvent, Backend, Failure } from './backend';
import { failureOf } from './backend';
import type { ElevationView, Event as EngineEvent, OffRequest, RuleView, Status } from './types/ipc';

type Heard = (event: EngineEvent | AppEvent) => void;

export class Engine {
  status = $state.raw<Status | undefined>();
  /** Why there is no status. */
  failure = $state.raw<Failure | undefined>();
  /** Requests for permissions, the newest first. */
  approvals = $state.raw<ElevationView[] | undefined>();
  /** How many of them wait for an answer. */
  waiting = $derived((this.approvals ?? []).filter((request) => request.state === 'pending').length);
  rules = $state.raw<Map<string, RuleView>>(new Map());
  private heard = new Set<Heard>();
  private soon: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly backend: Backend) {}

  start(): () => void {
    void this.refresh();
    void this.refreshApprovals();
    void this.refreshRules();
    return this.backend.listen((event) => {
      if (event.type === 'disconnected') {
        this.status = undefined;
        this.failure = { code: 'not_reachable', message: event.reason, hint: 'If it stays away, `sallyport doctor` says why.' };
      } else if (event.type !== 'open') {
        this.refreshSoon();
      }
      // There may have been no engine to ask, or one with other rules.
      if (event.type === 'connected' || event.type === 'policy') void this.refreshRules();
      if (event.type === 'approval' || event.type === 'held' || event.type === 'connected') void this.refreshApprovals();
      for (const heard of this.heard) heard(event);
    });
  }

  /** Called with each event until the returned function is called. */
  on(heard: Heard): () => void {
    this.heard.add(heard);
    return () => this.heard.delete(heard);
  }

  async refresh() {
    try {
      this.status = await this.backend.status();
      this.failure = undefined;
    } catch (thrown) {
      this.status = undefined;
      this.failure = failureOf(thrown);
    }
  }

  async refreshApprovals() {
    try {
      this.approvals = await this.backend.approvals();
    } catch {
      // The status says that the engine is away; an older list would mislead.
      this.approvals = undefined;
    }
  }

  private async refreshRules() {
    try {
      const rules = await this.backend.rules();
      this.rules = new Map(rules.map((rule) => [rule.id, rule]));
    } catch {
      // Rows name their rules all the same.
    }
  }

  async switchOn() {
    this.status = await this.backend.on();
  }

  async switchOff(request: OffRequest) {
    this.status = await this.backend.off(request);
  }

  // Events come in bursts; the status is asked for once for each burst.
  private refreshSoon() {
    this.soon ??= setTimeout(() => {
      this.soon = undefined;
      void this.refresh();
    }, 400);
  }
}
