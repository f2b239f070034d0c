// What the pages may ask for. Two implementations: the app's (Tauri commands to the engine) and a mock, for a plain browser
// and for tests. Pages know neither.

import type {
  Activity,
  ActivityRequest,
  AllowDraft,
  AllowEntry,
  AllowRemoval,
  AuditFilter,
  AuditPage,
  CaView,
  ElevationAnswer,
  ElevationView,
  Event as EngineEvent,
  OffRequest,
  PolicyView,
  QuotaHistory,
  QuotaView,
  RuleView,
  SelfTestReport,
  SourceStatus,
  Status,
  TrailProof,
} from './types/ipc';

/** A refusal or a failure, with a code that pages may match on. */
export interface Failure {
  code: string;
  message: string;
  hint?: string | null;
}

/** The app's own settings; they weaken nothing, so they are no policy. */
export interface AppSettings {
  popups: 'all' | 'notify_only' | 'quiet';
  autostart: boolean;
  first_run_done: boolean;
}

/** What the tray app tells the pages beside the engine's events. */
export type AppEvent = { type: 'connected' } | { type: 'disconnected'; reason: string } | { type: 'open'; page: string };

export interface Exported {
  path: string;
  rows: number;
}

/** How a shell is led through the proxy, for the first run and for copying. */
export interface ToolSetup {
  env: string;
  exec: string;
  off: string;
}

/** A shell’s start-up file, and whether our line stands in it. */
export interface ShellSetup {
  shell: string;
  file: string;
  line: string;
  added: boolean;
}

export interface Backend {
  status(): Promise<Status>;
  on(): Promise<Status>;
  off(request: OffRequest): Promise<Status>;
  activity(request: ActivityRequest): Promise<Activity>;
  audit(filter: AuditFilter): Promise<AuditPage>;
  verify(): Promise<TrailProof>;
  exportTrail(filter: AuditFilter, format: 'jsonl' | 'csv'): Promise<Exported>;
  rules(): Promise<RuleView[]>;
  sources(): Promise<SourceStatus[]>;
  syncSources(): Promise<SourceStatus[]>;
  policy(): Promise<PolicyView>;
  reloadPolicy(): Promise<PolicyView>;
  quota(): Promise<QuotaView>;
  quotaHistory(): Promise<QuotaHistory>;
  /** Requests for permissions and what became of them, the newest first. */
  approvals(): Promise<ElevationView[]>;
  /** The engine asks the operating system to authenticate the person first. */
  approve(answer: ElevationAnswer): Promise<ElevationView>;
  deny(answer: ElevationAnswer): Promise<ElevationView>;
  revoke(answer: ElevationAnswer): Promise<ElevationView>;
  /** What a person said is no secret. */
  allowed(): Promise<AllowEntry[]>;
  /** The engine asks the operating system who is there first. */
  allow(draft: AllowDraft): Promise<AllowEntry>;
  disallow(removal: AllowRemoval): Promise<AllowEntry>;
  ca(): Promise<CaView>;
  selfTest(): Promise<SelfTestReport>;
  toolSetup(): Promise<ToolSetup>;
  /** Deletes the certificate and its key, and ends the engine; the engine asks who is there first. Answers when it is gone. */
  removeCertificate(): Promise<void>;
  /** Starts the engine again, which makes another certificate. */
  bringBack(): Promise<void>;
  /** The line that leads every new shell through; none for a shell that we don’t know. */
  shell(): Promise<ShellSetup | null>;
  changeShell(add: boolean): Promise<ShellSetup | null>;
  quit(): Promise<void>;
  settings(): Promise<AppSettings>;
  changeSettings(settings: AppSettings): Promise<AppSettings>;
  /** Events of the engine and of the app until the returned function is called. */
  listen(heard: (event: EngineEvent | AppEvent) => void): () => void;
}

export function isFailure(value: unknown): value is Failure {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value;
}

/** Whatever was thrown, as something that can be shown. */
export function failureOf(thrown: unknown): Failure {
  if (isFailure(thrown)) return thrown;
  return { code: 'internal', message: thrown instanceof Error ? thrown.message : String(thrown) };
}
