// Written by `UPDATE_BINDINGS=1 cargo test -p sallyport-ipc bindings` from crates/ipc/src/types.rs. Not for editing.

import type { AuditEvent } from './audit';

/**
 * What the trail counts over a stretch of time.
 */
export type Activity = { total: ActivityCounts, 
/**
 * One for each part, the oldest first; parts without rows are zero.
 */
parts: Array<ActivityPart>, 
/**
 * The busiest first, at most ten of each.
 */
tools: Array<ActivityShare>, providers: Array<ActivityShare>, 
/**
 * The rules that took something out of most rows.
 */
rules: Array<ActivityShare>, };

export type ActivityCounts = { prompts: number, 
/**
 * Rows in which something was taken out.
 */
redacted: number, refused: number, errors: number, };

export type ActivityPart = { since: string, counts: ActivityCounts, };

/**
 * Which stretch of the trail to count, in how many equal parts.
 */
export type ActivityRequest = { since: string, until: string, 
/**
 * 1 to 400.
 */
parts: number, };

export type ActivityShare = { name: string, count: number, };

/**
 * A session that lasts as long as its process.
 */
export type AgentSession = { 
/**
 * The service account; no other session has it.
 */
account: string, class: string, 
/**
 * The permission tier that policy gave this class when the session began.
 */
tier: string | null, pid: number, since: string, };

/**
 * Asks for a service account for the calling process and all that it starts.
 */
export type AgentSessionRequest = { 
/**
 * A class of agents, such as `coding-assistant`.
 */
class: string, };

/**
 * One answer for each value, in order.
 */
export type AllowAnswer = { allowed: Array<boolean>, };

/**
 * What to allow: a fingerprint or a value, or a rule, a path, or both of these.
 */
export type AllowDraft = { 
/**
 * As an action `finding:RULE` of an audit row has it as its target.
 */
fingerprint: string | null, 
/**
 * The value itself; only its fingerprint is kept.
 */
value: string | null, rule: string | null, path: string | null, 
/**
 * Why it is no finding.
 */
reason: string, 
/**
 * Unset: until it is removed.
 */
for_seconds: number | null, };

/**
 * One entry: a value by its fingerprint, or a rule, or files, or a rule in files.
 */
export type AllowEntry = { id: number, 
/**
 * 32 hexadecimal digits.
 */
fingerprint: string | null, rule: string | null, 
/**
 * A glob of files.
 */
path: string | null, reason: string, added_at: string, expires_at: string | null, state: AllowState, };

/**
 * Values of which the caller wants to know whether they are allowed by fingerprint.
 */
export type AllowQuestion = { values: Array<string>, };

export type AllowRemoval = { id: number, };

export type AllowState = "in_force" | "expired" | "forbidden" | "unsealed";

/**
 * An answer to one question.
 */
export type AssessmentAnswer = { tool: string, 
/**
 * Its id.
 */
question: string, answer: string, 
/**
 * Of the risk that the answer shows.
 */
severity: Severity | null, mitigation: string | null, evidence: Array<string>, };

export type AssessmentAnswered = { answer: string, 
/**
 * Of the risk that the answer shows; none where it shows none.
 */
severity?: Severity | null, 
/**
 * What is done about the risk.
 */
mitigation?: string | null, evidence?: Array<string>, };

/**
 * Which tool is approved, and for how long.
 */
export type AssessmentApproval = { tool: string, 
/**
 * A day such as `2027-06-30`; unset: a year from now.
 */
until: string | null, };

export type AssessmentApproved = { by: string, on: Day, 
/**
 * The assessment comes up again then.
 */
until: Day, 
/**
 * What the engine seals an approval with; one without it counts in the administrator's folder alone.
 */
seal?: string | null, };

/**
 * One condition of the template.
 */
export type AssessmentCondition = { name: string, met: boolean, 
/**
 * Why it can't be told.
 */
error?: string | null, };

/**
 * Which tool is to be assessed.
 */
export type AssessmentDraft = { tool: string, 
/**
 * Providers that it talks to, by name.
 */
providers: Array<string>, 
/**
 * Unset: the only one that there is.
 */
template: string | null, 
/**
 * Such as `SOC2`.
 */
certificates: Array<string>, };

/**
 * One question of the template.
 */
export type AssessmentQuestion = { id: string, question: string, answered: boolean, required_evidence: Array<string>, risk_factors: Array<string>, };

/**
 * One tool's assessment, judged.
 */
export type AssessmentView = { 
/**
 * It lies in the administrator's folder.
 */
managed: boolean, 
/**
 * False where policy takes the administrator's word alone.
 */
counts: boolean, standing: Standing, questions: Array<AssessmentQuestion>, conditions: Array<AssessmentCondition>, tool: string, 
/**
 * Providers, by name, that the tool talks to.
 */
providers: Array<string>, 
/**
 * `metadata.name` of the template.
 */
template: string, created: Day, 
/**
 * Such as `SOC2` and `ISO27001`; they set `hasSOC2` and `hasISO27001`.
 */
certificates: Array<string>, 
/**
 * By the question's id.
 */
answers: { [key in string]: AssessmentAnswered }, approval?: AssessmentApproved | null, };

/**
 * Which rows of the trail; unset fields do not narrow.
 */
export type AuditFilter = { since: string | null, until: string | null, event_type: string | null, provider: string | null, model: string | null, user: string | null, agent: string | null, exchange_id: string | null, classification: Level | null, 
/**
 * Rows in which this rule took something out.
 */
rule: string | null, 
/**
 * Words, each of which stands in one of the row's values, in either case of ASCII letters. Ids and hashes are
 * found by their beginning, from eight digits on; numbers and times are not searched.
 */
text: string | null, 
/**
 * Rows in which something was taken out, or nothing was.
 */
redacted: boolean | null, 
/**
 * Rows after this one.
 */
after_seq: number | null, 
/**
 * Rows before this one: the place to go on from when the newest come first.
 */
before_seq: number | null, 
/**
 * Newest first instead of oldest first.
 */
newest_first: boolean, 
/**
 * At most so many rows; the engine caps it.
 */
limit: number | null, };

/**
 * The newest row of the trail.
 */
export type AuditHead = { seq: number, hash: string, };

export type AuditPage = { 
/**
 * Events of the audit schema.
 */
rows: AuditEvent[], 
/**
 * There are more rows than fitted.
 */
more: boolean, };

export type CaView = { root_pem: string, fingerprint_sha256: string, not_after: string, 
/**
 * The only names that a certificate of this root is good for.
 */
constraints: Array<string>, key_store: KeyStoreKind, 
/**
 * System roots and ours, for variables that replace the system's roots.
 */
bundle: string | null, };

/**
 * Which row's content to open.
 */
export type ContentRequest = { seq: number, };

/**
 * The body of every answer that is not a success.
 */
export type ControlError = { code: ErrorCode, message: string, hint?: string | null, };

/**
 * Since the engine started.
 */
export type Counters = { exchanges: number, 
/**
 * Values taken out, of requests and answers.
 */
redactions: number, blocked: number, 
/**
 * Connections passed on unread, because their host is none that is inspected.
 */
tunnelled: number, 
/**
 * Bodies on AI hosts that could not be read.
 */
opaque: number, 
/**
 * Clients that would not accept our certificate.
 */
pinned: number, 
/**
 * Stretches of requests that read like an attack on the assistant.
 */
injections: number, 
/**
 * Connections and exchanges to AI hosts that policy has not approved.
 */
shadow_ai: number, 
/**
 * Tool calls that permissions denied.
 */
denied_calls: number, 
/**
 * Tool calls that permissions would deny, were they enforced.
 */
would_deny: number, 
/**
 * Answers that are kept open while a person decides.
 */
held: number, 
/**
 * Exchanges that are under way.
 */
in_flight: number, };

/**
 * A day as people write it, `2026-11-26`. Text order is time order.
 */
export type Day = string;

/**
 * The kinds of document that there are.
 */
export type DocumentKind = "AgentPermissionPolicy" | "DataClassificationPolicy" | "AISecretsPolicy" | "IncidentResponsePlan" | "SecurityAssessmentTemplate" | "AttackSurfaceModel" | "SallyportPolicy";

/**
 * A document that is in the snapshot.
 */
export type DocumentSummary = { kind: DocumentKind, name: string, file: string, line: number, origin: Origin, };

/**
 * Which request is answered, and for how long it is granted at most.
 */
export type ElevationAnswer = { id: number, for_seconds: number | null, };

/**
 * What is asked for.
 */
export type ElevationDraft = { scope: ElevationScope | null, resources: Array<string>, 
/**
 * Unset: the account of flows that belong to no session.
 */
account: string | null, justification: string, 
/**
 * Unset: half an hour, or less where policy says so.
 */
for_seconds: number | null, };

/**
 * What may be elevated. Closed.
 */
export type ElevationScope = "filesystem:write" | "shell:execute" | "network:external" | "secrets:read";

/**
 * Where a request stands.
 */
export type ElevationState = "pending" | "approved" | "used" | "denied" | "expired" | "revoked";

/**
 * A named approver's signed word, as `sallyport elevate sign` wrote it.
 */
export type ElevationToken = { token: string, };

/**
 * A request for a permission, and what became of it.
 */
export type ElevationView = { state: ElevationState, grant: Grant | null, uses: number, decided_at: string | null, 
/**
 * A client is kept waiting for the answer until then.
 */
held_until: string | null, 
/**
 * Which engine asks.
 */
engine: string, 
/**
 * Random, so that a number that comes again is another request.
 */
nonce: string, id: number, scope: ElevationScope, resources: Array<Resource>, account: string, justification: string, seconds: number, requested_at: string, 
/**
 * Unanswered until then it is over.
 */
answer_by: string, };

/**
 * Closed; faces match on it and never on a message.
 */
export type ErrorCode = "bad_request" | "forbidden" | "not_permitted" | "not_found" | "method_not_allowed" | "conflict" | "too_large" | "unavailable" | "timed_out" | "internal";

/**
 * What happened just now.
 */
export type Event = { "type": "state", state: State, since: string, paused_until: string | null, } | { "type": "audit", row: AuditEvent, } | { "type": "health", items: Array<HealthItem>, } | { "type": "secrets", totals: SecretTotals, } | { "type": "policy", version: string, } | { "type": "quota", subject: string, percent: number, gauge: QuotaGauge, } | { "type": "loop", account: string, 
/**
 * How often, one after the other.
 */
times: number, 
/**
 * Its requests are refused, as policy says.
 */
refused: boolean, } | { "type": "injection", 
/**
 * As the trail's `agent_id` names it.
 */
tool: string, outcome: InjectionOutcome, 
/**
 * Stretches that no earlier request held.
 */
count: number, rules: Array<string>, 
/**
 * Where the first of them stands.
 */
place: string, } | { "type": "approval", request: ElevationView, } | { "type": "held", request: number, until: string | null, } | { "type": "missed", events: number, };

/**
 * One open connection.
 */
export type Flow = { id: number, host: string, port: number, handling: Handling, pid: number | null, executable: string | null, 
/**
 * The service account, once it is known.
 */
account: string | null, since: string, };

/**
 * A permission for a while.
 */
export type Grant = { 
/**
 * The number of the request that it answers.
 */
id: number, scope: ElevationScope, resources: Array<Resource>, 
/**
 * The service account that may use it.
 */
account: string, justification: string, granted_by: Grantor, not_before: string, expires_at: string, };

/**
 * Who granted.
 */
export type Grantor = { "by": "policy" } | { "by": "person" } | { "by": "advisory" } | { "by": "approver", "name": string };

export type Handling = "intercepted" | "tunnelled" | "local";

/**
 * A condition that a person should know of.
 */
export type HealthItem = { 
/**
 * Closed set; see the engine's table of conditions.
 */
code: string, severity: HealthSeverity, title: string, sentence: string, fix: string, since: string, };

export type HealthSeverity = "info" | "warning" | "critical";

/**
 * What became of words that want to be instructions.
 */
export type InjectionOutcome = "warned" | "neutralised" | "blocked";

/**
 * A session as its owner gets it, once.
 */
export type IssuedSession = { session: AgentSession, 
/**
 * The password of the proxy credential; the account is its user name.
 */
token: string, 
/**
 * What policy makes of the class, where that may surprise: no document is about it, say.
 */
remark: string | null, };

export type JsonValue = number | string | boolean | Array<JsonValue> | { [key in string]: JsonValue } | null;

/**
 * What was said in an exchange, after redaction. `Debug` shows nothing of it.
 */
export type KeptContent = { 
/**
 * None where nothing is kept, or no longer.
 */
text: string | null, };

export type KeyStoreKind = "keychain" | "file";

/**
 * How sensitive an exchange is. Ordered: `Public < Internal < Confidential < Restricted`.
 */
export type Level = "public" | "internal" | "confidential" | "restricted";

/**
 * What a quota limits.
 */
export type Limit = "requests_per_minute" | "requests_per_hour" | "tokens_per_day" | "prompt_length" | "concurrent_requests";

export type ModelUse = { 
/**
 * None where the request named none.
 */
model: string | null, requests: number, 
/**
 * Stopped by a limit.
 */
refused: number, 
/**
 * Tokens sent, without those read from or written to a prompt cache.
 */
input: number, output: number, cache_read: number, cache_write: number, 
/**
 * Millionths of a US dollar; an estimate from list prices.
 */
cost_micros: number, 
/**
 * Requests to models without a known price; they are not in the cost.
 */
unpriced: number, };

export type OffRequest = { 
/**
 * Unset: until switched on again.
 */
for_seconds: number | null, reason: string | null, };

/**
 * What happens beyond a limit. Ordered: the later the stricter.
 */
export type OnExceed = "warn" | "block";

/**
 * Whose word a setting is.
 */
export type Origin = "default" | "user" | "managed";

export type PolicyRef = { 
/**
 * Changes whenever anything that policy is made of changes.
 */
version: string, profile: string, 
/**
 * Protection can be neither switched off nor paused.
 */
forbids_off: boolean, 
/**
 * Whoever switches off or pauses says why.
 */
asks_reason: boolean, };

export type PolicyView = { version: string, settings: Array<SettingRow>, documents: Array<DocumentSummary>, 
/**
 * Files that could not be used; the last good ones are in force instead.
 */
problems: Array<string>, };

/**
 * How full one limit is.
 */
export type QuotaGauge = { 
/**
 * `requests_per_minute`, `requests_per_hour`, `tokens_per_day` or `concurrent_requests`.
 */
limit: Limit, size: number, used: number, 
/**
 * When something of it is free again; none where nothing is used, or where it depends on what runs.
 */
resets_at: string | null, };

/**
 * The last 30 days. Periods without use are left out.
 */
export type QuotaHistory = { 
/**
 * Oldest first.
 */
hours: Array<UsagePeriod>, 
/**
 * UTC days, oldest first.
 */
days: Array<UsagePeriod>, 
/**
 * The costliest first.
 */
models: Array<ModelUse>, };

/**
 * Quotas as they stand.
 */
export type QuotaView = { 
/**
 * This person first, then agents whose class has a tier of its own.
 */
subjects: Array<SubjectQuota>, on_exceed: OnExceed, 
/**
 * `sqlite`, or the address of the shared store.
 */
store: string, 
/**
 * The store answers. While it does not, policy says whether requests pass uncounted.
 */
store_reachable: boolean, 
/**
 * Everybody together, since midnight UTC.
 */
today: Usage, };

/**
 * A pattern. What it means depends on the scope that it stands under.
 *
 * - `filesystem:write`: an absolute path glob, `/workspace/src/**`
 * - `shell:execute`: the words of one command, `git push origin *`; a `*` at the end stands for any further words
 * - `network:external`: a domain, `api.example.com` or `*.example.com`
 * - `secrets:read`: the name of a secret, `*` within it for any characters
 */
export type Resource = string;

/**
 * One detection rule, as people should know it.
 */
export type RuleView = { id: string, description: string, severity: string, kind: string, };

export type SecretTotals = { sources: number, 
/**
 * Sources that could not be read the last time.
 */
failed_sources: number, secrets: number, 
/**
 * Values that are common words and match only beside their name.
 */
weak: number, loaded_at: string | null, };

export type SelfTestCheck = { name: string, passed: boolean, 
/**
 * What was tried and what was seen.
 */
sentence: string, };

export type SelfTestReport = { passed: boolean, checks: Array<SelfTestCheck>, took_ms: number, };

/**
 * One line of `policy show`.
 */
export type SettingRow = { key: string, value: JsonValue, origin: Origin, locked: boolean, };

/**
 * How bad it is that this value is where it is.
 */
export type Severity = "low" | "medium" | "high" | "critical";

export type SourceFailure = { code: string, message: string, hint: string, };

export type SourceState = "loaded" | "stale" | "failed";

/**
 * One place that secret values come from. Never holds a value.
 */
export type SourceStatus = { id: string, kind: string, 
/**
 * Without credentials.
 */
location: string, state: SourceState, names: Array<string>, weak_names: Array<string>, 
/**
 * Values too short to be told from other text.
 */
skipped: number, loaded_at: string | null, error: SourceFailure | null, };

/**
 * Where a tool stands.
 */
export type Standing = { "state": "approved", until: string, } | { "state": "ready" } | { "state": "due", since: string, } | { "state": "incomplete", questions: Array<string>, } | { "state": "failing", criteria: Array<string>, } | { "state": "no_template", template: string, };

/**
 * Is this person protected right now?
 */
export type State = "protected" | "paused" | "off" | "attention";

export type Status = { version: string, pid: number, 
/**
 * Where the proxy listens, `address:port`.
 */
listen: string, state: State, 
/**
 * Since when the state holds.
 */
since: string, paused_until: string | null, owner_uid: number, counters: Counters, health: Array<HealthItem>, secrets: SecretTotals, audit: AuditHead, policy: PolicyRef, 
/**
 * Agents that were started with `exec --agent` and still run.
 */
agents: Array<AgentSession>, };

/**
 * The quota of one person, or of a class of agents of that person.
 */
export type SubjectQuota = { 
/**
 * A user name, or `user/class`.
 */
subject: string, tier: string, 
/**
 * Longest prompt, in characters; none where the tier is not known, so that nothing passes.
 */
max_prompt_length: number | null, gauges: Array<QuotaGauge>, };

/**
 * Whether the trail is whole.
 */
export type TrailProof = { whole: boolean, 
/**
 * Rows that were checked.
 */
rows: number, 
/**
 * The first thing that is wrong, in a sentence.
 */
fault: string | null, took_ms: number, };

/**
 * Requests, tokens and their estimated cost.
 */
export type Usage = { requests: number, 
/**
 * Stopped by a limit.
 */
refused: number, 
/**
 * Tokens sent, without those read from or written to a prompt cache.
 */
input: number, output: number, cache_read: number, cache_write: number, 
/**
 * Millionths of a US dollar; an estimate from list prices.
 */
cost_micros: number, 
/**
 * Requests to models without a known price; they are not in the cost.
 */
unpriced: number, };

export type UsagePeriod = { start: string, requests: number, 
/**
 * Stopped by a limit.
 */
refused: number, 
/**
 * Tokens sent, without those read from or written to a prompt cache.
 */
input: number, output: number, cache_read: number, cache_write: number, 
/**
 * Millionths of a US dollar; an estimate from list prices.
 */
cost_micros: number, 
/**
 * Requests to models without a known price; they are not in the cost.
 */
unpriced: number, };
