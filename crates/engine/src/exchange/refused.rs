//! Requests that do not go on: each leaves its row first, then its sender is told why.

use http::Response;
use hudson_proxy::{Body, ExchangeContext};
use sallyport_policy::Level;
use sallyport_policy::providers::TrafficKind;
use sallyport_policy::quotas::is_generation;
use sallyport_policy::verdict::{Decision, Verdict};

use super::Exchange;
use crate::accounts::Rejected;
use crate::conduct::{self, Outcome, Spoken};
use crate::quotas::{self, Asked, Call, Loan};
use crate::record::{BodyFacts, SentFacts};
use crate::respond::{self, Refusal};
use crate::self_test;

/// Why an exchange did not take its whole way.
pub(super) enum Stop {
    Refused(Refusal),
    Answered(Box<Response<Body>>),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl Exchange<'_> {
    /// Takes what the request needs of its quota; none for what calls no model.
    pub(super) async fn admit(
        &self,
        parts: &http::request::Parts,
        context: &ExchangeContext,
        thread: &str,
        asked: &Asked,
        sent: &SentFacts,
    ) -> Result<Option<Loan>, Stop> {
        let counts = self.endpoint.kind == TrafficKind::Model
            && is_generation(parts.method.as_str(), parts.uri.path(), context.upgrade)
            && context.target.host() != self_test::HOST;
        if !counts {
            return Ok(None);
        }
        let model = self.parties.provider.model.as_deref();
        let body = sent.body.hash.as_deref();
        let call = Call { account: self.account, thread, asked, body, model, upgrade: context.upgrade };
        match quotas::admit(self.engine, &self.policy.snapshot.quotas, &call).await {
            Ok(loan) => Ok(Some(loan)),
            Err(over) => {
                if self.engine.record_violation(&self.parties, sent, over.code).await.is_err() {
                    return Err(Refusal::trail_unavailable().into());
                }
                self.engine.counters.blocked();
                let shape = respond::shape(self.provider, self.family);
                Err(Stop::Answered(Box::new(over.response(shape))))
            }
        }
    }

    /// Refuses a credential that counts for nothing. Inside TLS: a refused CONNECT explains itself nowhere.
    pub(super) async fn reject(&self, rejected: &Rejected) -> Refusal {
        let code = "agent_credential";
        let unread = SentFacts {
            body: BodyFacts::unread(),
            level: Level::default(),
            findings: Vec::new(),
            redactions: Vec::new(),
            spoken: Vec::new(),
            level_before: Level::default(),
            remarks: Vec::new(),
        };
        match self.engine.record_violation(&self.parties, &unread, code).await {
            Ok(()) => Refusal::new(code, rejected.to_string()),
            Err(_) => Refusal::trail_unavailable(),
        }
    }

    /// Stops what must not be sent. `signed`: by the client, so that nothing can be taken out.
    pub(super) async fn may_leave(
        &self,
        sent: &SentFacts,
        decision: &Decision,
        signed: bool,
    ) -> Result<(), Refusal> {
        if signed && sent.redactions.iter().any(|rule| rule.starts_with("withheld:")) {
            return Err(self.refuse_signed(sent).await);
        }
        if let Verdict::Block(code) = decision.verdict {
            return Err(self.block(sent, code.as_str(), decision).await);
        }
        match sent.spoken.iter().find(|spoken| spoken.outcome == Outcome::Blocked) {
            Some(spoken) => Err(self.refuse_instruction(sent, spoken).await),
            None => Ok(()),
        }
    }

    /// Records a request that brings a sealed file under the client's signature.
    async fn refuse_signed(&self, sent: &SentFacts) -> Refusal {
        let code = "signed_request";
        match self.engine.record_violation(&self.parties, sent, code).await {
            Ok(()) => Refusal::new(
                code,
                "Sallyport stopped this request: it brings the content of a file that no AI may see, and the client has \
                 signed it, so that nothing can be taken out. Start a new conversation without that file.",
            ),
            Err(_) => Refusal::trail_unavailable(),
        }
    }

    /// Records a refused request and gives the answer to it.
    async fn block(&self, sent: &SentFacts, code: &'static str, decision: &Decision) -> Refusal {
        if self.engine.record_violation(&self.parties, sent, code).await.is_err() {
            return Refusal::trail_unavailable();
        }
        let said: Vec<String> = decision
            .reasons
            .iter()
            .map(|reason| match &reason.hint {
                Some(hint) => format!("{} {hint}", reason.sentence),
                None => reason.sentence.clone(),
            })
            .collect();
        Refusal::new(code, format!("Sallyport stopped this request. {}", said.join(" ")))
    }

    /// Records a request that is refused for words that want to be instructions.
    async fn refuse_instruction(&self, sent: &SentFacts, spoken: &Spoken) -> Refusal {
        crate::injections::tell(self.engine, &self.parties, &sent.spoken);
        if self.engine.record_violation(&self.parties, sent, conduct::VIOLATION).await.is_err() {
            return Refusal::trail_unavailable();
        }
        let Spoken { rule, place, .. } = spoken;
        Refusal::new(
            conduct::VIOLATION,
            format!(
                "Sallyport stopped this request. Words at {place} read like an attack on the assistant ({rule}). \
                 Take them out, or have policy treat them otherwise (`injection` of a SallyportPolicy)."
            ),
        )
    }
}
