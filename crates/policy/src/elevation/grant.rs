//! Requests and grants, and what they cover at a moment.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::resource::misleads;
use super::{BadResource, MAX_DURATION, Resource, Scope, Target, Terms};

/// More resources in one request than a person can judge.
const MAX_RESOURCES: usize = 32;
const MAX_JUSTIFICATION: usize = 1_000;
const MAX_ACCOUNT: usize = 128;

/// Who granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "by", content = "name")]
pub enum Grantor {
    /// Policy grants this scope without a human.
    Policy,
    /// The person at the desk, who proved to be it.
    Person,
    /// Somebody who could not be asked to prove anything: this machine has no OS authentication.
    Advisory,
    /// A named approver's signature.
    Approver(String),
}

impl std::fmt::Display for Grantor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Grantor::Policy => f.write_str("policy"),
            Grantor::Person => f.write_str("person"),
            Grantor::Advisory => f.write_str("advisory"),
            Grantor::Approver(name) => write!(f, "approver:{name}"),
        }
    }
}

/// A permission for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The number of the request that it answers.
    pub id: u64,
    pub scope: Scope,
    pub resources: Vec<Resource>,
    /// The service account that may use it.
    pub account: String,
    pub justification: String,
    pub granted_by: Grantor,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
}

/// Whether a grant lets this account do this now.
pub fn covers(grant: &Grant, target: &Target<'_>, account: &str, now: Timestamp) -> bool {
    grant.scope == target.scope()
        && grant.account == account
        && grant.not_before <= now
        && now < grant.expires_at
        // A longer one was not made by these rules.
        && grant.expires_at.duration_since(grant.not_before) <= seconds(MAX_DURATION)
        && grant.resources.iter().any(|resource| resource.reaches(target))
}

/// What is asked for, as it came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub scope: Scope,
    pub resources: Vec<String>,
    pub account: String,
    #[serde(default)]
    pub justification: String,
    /// How long the grant is to last.
    pub seconds: u64,
}

/// What was asked for, within the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(rename = "ElevationRequest")]
pub struct Request {
    pub id: u64,
    pub scope: Scope,
    pub resources: Vec<Resource>,
    pub account: String,
    pub justification: String,
    pub seconds: u64,
    pub requested_at: Timestamp,
    /// Unanswered until then it is over.
    pub answer_by: Timestamp,
}

impl Request {
    /// The grant that answers this, from `now` on. Never longer than asked for, nor than the rules allow.
    pub fn grant(&self, by: Grantor, seconds_granted: u64, terms: &Terms, now: Timestamp) -> Grant {
        let length = seconds_granted.min(self.seconds).min(terms.max_duration).min(MAX_DURATION);
        Grant {
            id: self.id,
            scope: self.scope,
            resources: self.resources.clone(),
            account: self.account.clone(),
            justification: self.justification.clone(),
            granted_by: by,
            not_before: now,
            expires_at: now.checked_add(seconds(length)).unwrap_or(now),
        }
    }

    /// Whether it asks for nothing but this, for this account: asking twice makes one request.
    pub fn is_for(&self, target: &Target<'_>, account: &str) -> bool {
        self.scope == target.scope()
            && self.account == account
            && self.resources.iter().any(|resource| resource.reaches(target))
    }
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
#[ts(rename = "ElevationState")]
pub enum State {
    Pending,
    Approved,
    /// Approved, and used at least once.
    Used,
    Denied,
    Expired,
    Revoked,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Used => "used",
            State::Denied => "denied",
            State::Expired => "expired",
            State::Revoked => "revoked",
        }
    }

    /// Whether a grant stands behind it.
    pub fn is_granted(self) -> bool {
        matches!(self, State::Approved | State::Used)
    }
}

/// Who decides on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Policy lets this scope be granted at once.
    GrantedByPolicy,
    /// A human, in time.
    NeedsHuman,
}

/// Why a request is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a grant may last {max} seconds at most, not {asked}")]
    TooLong { asked: u64, max: u64 },
    #[error("a grant must last at least one second")]
    NoDuration,
    #[error("policy asks for a justification")]
    NoJustification,
    #[error("a request names at least one resource and at most {MAX_RESOURCES}")]
    ResourceCount,
    #[error(transparent)]
    Resource(#[from] BadResource),
    #[error("the account or the justification is too long, or holds characters that can't be seen")]
    Text,
}

/// Holds a draft against the rules: the request, and who decides on it.
pub fn judge(draft: &Draft, id: u64, terms: &Terms, now: Timestamp) -> Result<(Request, Way), Refused> {
    let max = terms.max_duration.min(MAX_DURATION);
    let justification = draft.justification.trim();
    match draft {
        _ if draft.seconds == 0 => return Err(Refused::NoDuration),
        _ if draft.seconds > max => return Err(Refused::TooLong { asked: draft.seconds, max }),
        _ if terms.require_justification && justification.is_empty() => return Err(Refused::NoJustification),
        _ if !(1..=MAX_RESOURCES).contains(&draft.resources.len()) => return Err(Refused::ResourceCount),
        _ => {}
    }
    let odd = |text: &str, longest: usize| text.len() > longest || text.chars().any(misleads);
    if odd(&draft.account, MAX_ACCOUNT) || draft.account.is_empty() || odd(justification, MAX_JUSTIFICATION) {
        return Err(Refused::Text);
    }
    let resources = draft
        .resources
        .iter()
        .map(|text| Resource::parse(draft.scope, text))
        .collect::<Result<Vec<_>, _>>()?;
    let way = match terms.auto_grant.contains(&draft.scope) && !draft.scope.needs_human() {
        true => Way::GrantedByPolicy,
        false => Way::NeedsHuman,
    };
    let request = Request {
        id,
        scope: draft.scope,
        resources,
        account: draft.account.clone(),
        justification: justification.to_owned(),
        seconds: draft.seconds,
        requested_at: now,
        answer_by: now.checked_add(seconds(terms.approval_timeout)).unwrap_or(now),
    };
    Ok((request, way))
}

fn seconds(count: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(count).unwrap_or(i64::MAX))
}
