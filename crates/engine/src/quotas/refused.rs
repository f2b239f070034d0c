//! What a client is told beyond a limit: 429 in its provider's shape, with words for the person.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use hudson_proxy::Body;
use sallyport_policy::quotas::{Exceeded, Limit, MINUTE, Millis};
use sallyport_wire::{Family, refusal};

use super::history::moment;

/// Where a slot comes free when one of the running requests ends; nobody knows when that is.
const SLOT: u64 = 5;

/// Where no waiting helps: the longest that clients take seriously.
const NEVER: u64 = 24 * 3_600;

/// A request that a quota stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverQuota {
    pub(crate) code: &'static str,
    message: String,
    /// Seconds.
    wait: u64,
    /// Waiting for so long, a client does well to try again by itself.
    try_again: bool,
    /// As OpenAI's clients tell a short wait from a used-up quota.
    openai: &'static str,
}

impl OverQuota {
    pub(crate) fn limit(subject: &str, tier: &str, exceeded: &Exceeded, now: Millis) -> OverQuota {
        let Exceeded { limit, size, wanted, free_at } = *exceeded;
        let wait = match (limit, free_at) {
            (Limit::ConcurrentRequests, _) => SLOT,
            (_, Some(at)) => u64::try_from((at - now).max(0)).unwrap_or(0).div_ceil(1_000).max(1),
            (_, None) => NEVER,
        };
        let when = match (limit, free_at) {
            (Limit::ConcurrentRequests, _) => "It is free again when one of them ends.".to_owned(),
            (Limit::PromptLength, _) => format!("This one has {wanted}; send less at once."),
            (_, Some(at)) => {
                let seconds = at.div_euclid(1_000) * 1_000;
                format!("It is free again at {}, in {}.", moment(seconds), spoken(wait))
            }
            (Limit::TokensPerDay, None) => {
                format!("This request alone may take {wanted}; send less, or ask for fewer tokens.")
            }
            (_, None) => "Nothing is allowed.".to_owned(),
        };
        let message = format!(
            "Sallyport stopped this request: {subject} may use {} (tier {tier}). {when} `sallyport quota` shows what is \
             used. To raise it, set `quotas.tiers.{tier}.{}` in a SallyportPolicy, or ask whoever manages this machine.",
            limit.spoken(size),
            limit.key()
        );
        let short = i64::try_from(wait).unwrap_or(i64::MAX) * 1_000 <= MINUTE;
        OverQuota {
            code: limit.code(),
            message,
            wait,
            try_again: limit == Limit::ConcurrentRequests,
            openai: if short { "rate_limit_exceeded" } else { "insufficient_quota" },
        }
    }

    pub(crate) fn unknown_tier(tier: &str, known: &[&str]) -> OverQuota {
        let message = format!(
            "Sallyport stopped this request: there is no quota tier `{tier}`. Set `identity.tier` in config.yaml to one \
             of {}, or add it under `quotas.tiers` of a SallyportPolicy.",
            known.join(", ")
        );
        OverQuota {
            code: "quota_unknown_tier",
            message,
            wait: NEVER,
            try_again: false,
            openai: "insufficient_quota",
        }
    }

    pub(crate) fn store_away(store: &str) -> OverQuota {
        let message = format!(
            "Sallyport stopped this request: quotas are counted at {store}, which does not answer, and policy lets \
             nothing pass uncounted. `sallyport doctor` says more; try again when it answers."
        );
        OverQuota {
            code: "quota_store_unavailable",
            message,
            wait: 30,
            try_again: false,
            openai: "rate_limit_exceeded",
        }
    }

    pub(crate) fn repeats(times: u32) -> OverQuota {
        let message = format!(
            "Sallyport stopped this request: it is the same as the {} before it, so the agent goes round in a circle. \
             Tell it to do something else, or start it anew. Policy: `quotas.repeats`.",
            times.saturating_sub(1)
        );
        OverQuota { code: "agent_loop", message, wait: NEVER, try_again: false, openai: "insufficient_quota" }
    }

    pub(crate) fn response(&self, family: Family) -> Response<Body> {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let code = if family == Family::OpenAiChat { self.openai } else { self.code };
        let (content_type, body) = refusal::body(family, &self.message, code, status.as_u16());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(self.wait));
        let again = if self.try_again { "true" } else { "false" };
        headers.insert("x-should-retry", HeaderValue::from_static(again));
        headers.insert("x-sallyport-code", HeaderValue::from_static(self.code));
        response
    }
}

fn spoken(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use sallyport_policy::quotas::{DAY, HOUR};

    use super::*;

    const NOW: Millis = 20_000 * DAY + 8 * HOUR;

    fn over(limit: Limit, free_at: Option<Millis>) -> OverQuota {
        OverQuota::limit("ann", "developer", &Exceeded { limit, size: 20, wanted: 21, free_at }, NOW)
    }

    async fn body(response: Response<Body>) -> serde_json::Value {
        let hudson_proxy::Gathered::Whole { data, .. } = response.into_body().gather(10_000).await.unwrap()
        else {
            panic!("a short body")
        };
        serde_json::from_slice(&data).unwrap()
    }

    #[tokio::test]
    async fn a_short_wait_and_a_used_up_quota_are_told_apart() {
        for (over, code, wait) in [
            (over(Limit::RequestsPerMinute, Some(NOW + 30_001)), "rate_limit_exceeded", "31"),
            (over(Limit::RequestsPerHour, Some(NOW + 3_000_000)), "insufficient_quota", "3000"),
            (over(Limit::TokensPerDay, None), "insufficient_quota", "86400"),
        ] {
            let response = over.response(Family::OpenAiChat);
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()["retry-after"], wait);
            assert_eq!(response.headers()["x-should-retry"], "false");
            assert_eq!(response.headers()["x-sallyport-code"], over.code);
            let json = body(response).await;
            assert_eq!(json["error"]["code"], code);
            let message = json["error"]["message"].as_str().unwrap();
            assert!(message.contains("quotas.tiers.developer.") && message.contains("20 "), "{message}");
        }
        let json = body(over(Limit::TokensPerDay, None).response(Family::AnthropicMessages)).await;
        assert_eq!(json["error"]["type"], "rate_limit_error");
    }

    #[test]
    fn a_slot_is_worth_another_try() {
        let response = over(Limit::ConcurrentRequests, None).response(Family::AnthropicMessages);
        assert_eq!(response.headers()["x-should-retry"], "true");
        assert_eq!(response.headers()["retry-after"], "5");
    }

    #[test]
    fn the_moment_is_said() {
        let said = over(Limit::RequestsPerHour, Some(NOW + 3_000_000)).message;
        assert!(said.contains("at 2024-10-04T08:50:00Z, in 50 min"), "{said}");
        assert!(OverQuota::unknown_tier("king", &["developer"]).message.contains("`king`"));
    }
}
