// The rows in sight, page by page from the newest back, with new ones put in front as they happen.

import type { Backend, Failure } from '../../lib/backend';
import { failureOf } from '../../lib/backend';
import type { AuditEvent } from '../../lib/types/audit';
import type { AuditFilter } from '../../lib/types/ipc';
import { fits } from './filter';

const PAGE = 200;

export class Rows {
  list = $state.raw<AuditEvent[]>([]);
  /** Rows older than these match, too. */
  more = $state(false);
  waiting = $state(true);
  failure = $state.raw<Failure | undefined>();
  private filter: AuditFilter | undefined;
  private turn = 0;
  private paging = false;

  constructor(private readonly backend: Backend) {}

  async narrow(filter: AuditFilter) {
    const turn = ++this.turn;
    this.filter = filter;
    this.waiting = true;
    try {
      const page = await this.backend.audit({ ...filter, limit: PAGE });
      if (turn !== this.turn) return;
      this.list = page.rows;
      this.more = page.more;
      this.failure = undefined;
    } catch (thrown) {
      if (turn === this.turn) this.failure = failureOf(thrown);
    } finally {
      if (turn === this.turn) this.waiting = false;
    }
  }

  /** The next page; does nothing while one is on its way. */
  async older() {
    const last = this.list.at(-1);
    if (!this.filter || !this.more || this.paging || this.waiting || !last) return;
    const turn = this.turn;
    this.paging = true;
    try {
      const page = await this.backend.audit({ ...this.filter, before_seq: last.seq, limit: PAGE });
      if (turn !== this.turn) return;
      this.list = [...this.list, ...page.rows];
      this.more = page.more;
    } catch (thrown) {
      if (turn === this.turn) this.failure = failureOf(thrown);
    } finally {
      this.paging = false;
    }
  }

  /** A row that was just written. */
  newer(row: AuditEvent) {
    const first = this.list[0];
    if (!this.filter || this.waiting || (first && row.seq <= first.seq) || !fits(row, this.filter)) return;
    this.list = [row, ...this.list];
  }
}
