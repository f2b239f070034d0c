//! What a face shows of the trail and the rules: counts over a time, the proof that the trail is whole, the rules' words.
//! Reads only.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sallyport_audit::{Counts, Trail};
use sallyport_detect::RuleSet;
use sallyport_ipc::types::{
    Activity, ActivityCounts, ActivityPart, ActivityRequest, ActivityShare, KeptContent, RuleView, TrailProof,
};
use sallyport_ipc::{ControlError, ErrorCode};

use crate::control::trail_failed;

const MAX_PARTS: u32 = 400;

pub(crate) async fn activity(trail: Arc<Trail>, request: ActivityRequest) -> Result<Activity, ControlError> {
    let ActivityRequest { since, until, parts } = request;
    if !(1..=MAX_PARTS).contains(&parts) || since >= until {
        return Err(ControlError::new(ErrorCode::BadRequest, "That is no stretch of time.")
            .with_hint(format!("`since` lies before `until`, and `parts` is between 1 and {MAX_PARTS}.")));
    }
    blocking(move || {
        let reader = trail.reader().map_err(trail_failed)?;
        let counted = reader.activity(since, until, parts as usize).map_err(trail_failed)?;
        let starts = (0..parts).map(|part| part_start(since, until, part, parts));
        Ok(Activity {
            total: counts(counted.total),
            parts: starts
                .zip(counted.parts)
                .map(|(since, part)| ActivityPart { since, counts: counts(part) })
                .collect(),
            tools: shares(counted.agents),
            providers: shares(counted.providers),
            rules: shares(counted.rules),
        })
    })
    .await
}

pub(crate) async fn content(trail: Arc<Trail>, seq: u64) -> Result<KeptContent, ControlError> {
    blocking(move || {
        let body = trail.content(seq).map_err(trail_failed)?;
        Ok(KeptContent { text: body.map(|body| String::from_utf8_lossy(&body).into_owned()) })
    })
    .await
}

pub(crate) async fn verify(trail: Arc<Trail>) -> Result<TrailProof, ControlError> {
    blocking(move || {
        let began = Instant::now();
        let paths = trail.paths();
        let report = sallyport_audit::verify(&paths.database, &paths.head, &trail.public_key())
            .map_err(trail_failed)?;
        let fault = report.fault.as_ref().map(ToString::to_string);
        Ok(TrailProof {
            whole: report.is_whole(),
            rows: report.rows,
            fault: fault.or_else(|| report.discontinuities.first().map(|found| found.message.clone())),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    })
    .await
}

pub(crate) fn rules(rules: &RuleSet) -> Vec<RuleView> {
    let view = |rule: &sallyport_detect::Rule| RuleView {
        id: rule.id.to_string(),
        description: rule.description.clone(),
        severity: format!("{:?}", rule.severity).to_lowercase(),
        kind: format!("{:?}", rule.kind).to_lowercase(),
    };
    rules.rules().iter().map(view).collect()
}

fn part_start(since: Timestamp, until: Timestamp, part: u32, parts: u32) -> Timestamp {
    let step = since.duration_until(until) / i32::try_from(parts).unwrap_or(i32::MAX);
    since.checked_add(step * i32::try_from(part).unwrap_or(0)).unwrap_or(since)
}

fn counts(counted: Counts) -> ActivityCounts {
    ActivityCounts {
        prompts: counted.prompts,
        redacted: counted.redacted,
        refused: counted.violations,
        errors: counted.errors,
    }
}

fn shares(named: Vec<(String, u64)>) -> Vec<ActivityShare> {
    named.into_iter().map(|(name, count)| ActivityShare { name, count }).collect()
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| ControlError::new(ErrorCode::Internal, "The trail could not be read."))?
}
