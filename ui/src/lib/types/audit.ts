// One row of the trail, as the audit schema has it (crates/audit/assets/audit-event.schema.json) with our four fields.
// `audit.test.ts` holds the mock's rows against that schema's fields.

export type EventType = 'prompt_sent' | 'completion_received' | 'action_executed' | 'error' | 'policy_violation';

export interface AuditEvent {
  seq: number;
  prev_hash: string;
  event_id: string;
  event_type: EventType;
  timestamp: string;
  exchange_id?: string;
  violation_type?: string;
  actor: {
    user_id?: string;
    agent_id?: string;
    service_account?: string;
    ip_address?: string;
    user_agent?: string;
  };
  ai_provider: { name?: string; model?: string; endpoint?: string; api_version?: string };
  request?: {
    prompt_hash?: string;
    prompt_length?: number;
    contains_code?: boolean;
    classification?: string;
    redactions_applied: string[];
  };
  response?: {
    completion_hash?: string;
    completion_length?: number;
    tokens_used?: number;
    latency_ms?: number;
    finish_reason?: string;
  };
  actions?: { action_type: string; target?: string; outcome?: string; requires_review?: boolean }[];
  compliance?: { data_residency?: string; retention_policy?: string; consent_verified?: boolean };
}
