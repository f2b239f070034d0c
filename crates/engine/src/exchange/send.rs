//! The last steps of a request: a brokered key, the durable row, and only then the provider.

use bytes::Bytes;
use http::{Request, Response, request};
use hudson_proxy::{Body, Upstream};
use sallyport_policy::quotas::Limit;

use super::Exchange;
use super::refused::Stop;
use crate::broker;
use crate::engine::Engine;
use crate::quotas::Loan;
use crate::record::{Parties, SentFacts, quota_warned};
use crate::respond::{self, Refusal};

impl Exchange<'_> {
    /// Puts the real key where the tool holds a brokered one; whether it did.
    pub(super) async fn insert_key(
        &self,
        parts: &mut request::Parts,
        host: &str,
        sent: &SentFacts,
    ) -> Result<bool, Refusal> {
        let auth = &self.provider.auth;
        let inserted = broker::insert(self.engine, self.policy, auth, host, self.account, parts).await;
        if let Err(refusal) = &inserted
            && self.engine.record_violation(&self.parties, sent, refusal.code).await.is_err()
        {
            return Err(Refusal::trail_unavailable());
        }
        inserted
    }

    /// Waits until the request's row is kept. `warned`: a limit that it passes, where policy only warns.
    pub(super) async fn record(
        &self,
        sent: &SentFacts,
        warned: Option<Limit>,
        said: Option<Bytes>,
    ) -> Result<(), Refusal> {
        let recorded = self.engine.record_prompt(&self.parties, sent, warned.map(quota_warned), said).await;
        if let Err(error) = recorded {
            if !self.policy.is_open_on_failure() {
                return Err(Refusal::trail_unavailable());
            }
            tracing::warn!(%error, "an exchange goes on unrecorded, as policy says");
        }
        Ok(())
    }

    /// Sends the request. Of one that gets no answer the trail says why, and it costs nothing if it never left.
    pub(super) async fn send(
        &self,
        mut upstream: Upstream,
        request: Request<Body>,
        loan: &mut Option<Loan>,
    ) -> Result<Response<Body>, Stop> {
        if let Some(loan) = loan {
            loan.is_sent();
        }
        let unanswered = Unanswered { engine: self.engine, parties: &self.parties, open: true };
        let answer = upstream.send(request).await;
        unanswered.close();
        answer.map_err(|error| {
            if let Some(loan) = loan.take().filter(|_| error.is_before_send()) {
                loan.unsent();
            }
            self.engine.record_failure(&self.parties, error.code());
            let shape = respond::shape(self.provider, self.family);
            Stop::Answered(Box::new(respond::upstream_failed(shape, &error)))
        })
    }
}

/// A request that was sent and has no answer yet. When the client goes away this is dropped, and the row written.
struct Unanswered<'e> {
    engine: &'e Engine,
    parties: &'e Parties,
    open: bool,
}

impl Unanswered<'_> {
    fn close(mut self) {
        self.open = false;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.open {
            self.engine.record_failure(self.parties, "client_gone");
        }
    }
}
