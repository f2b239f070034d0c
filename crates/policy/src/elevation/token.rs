//! A named approver's signed word, made away from the engine and good for one request of one engine.

use ed25519_dalek::{Signer, SigningKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Approver, Request, Resource, Scope};
use crate::PublicKey;

/// So that no signature made for another purpose reads as an approval.
const PURPOSE: &[u8] = b"sallyport elevation approval 1\0";
/// Longer texts are no token.
const MAX_TOKEN: usize = 64 << 10;

/// A request as an approver sees it: what it asks for, and what ties it to one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Question {
    /// Which engine asks.
    pub engine: String,
    /// Random, so that a number that comes again is another request.
    pub nonce: String,
    #[serde(flatten)]
    pub request: Request,
}

/// What is signed. The order of the fields is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub engine: String,
    pub request: u64,
    pub nonce: String,
    pub scope: Scope,
    pub resources: Vec<Resource>,
    pub account: String,
    pub expires_at: Timestamp,
    pub approver: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub statement: Statement,
    /// Base64 of an Ed25519 signature.
    pub signature: String,
}

/// Why a token approves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("it is no approval token")]
    Malformed,
    #[error("policy knows no approver called `{0}`")]
    UnknownApprover(String),
    #[error("its signature is not that of `{0}`")]
    Signature(String),
    #[error("it was signed for another engine")]
    OtherEngine,
    #[error("it was signed for another request, or the request changed since")]
    OtherRequest,
    #[error("it has expired")]
    Expired,
}

/// The half of an approver's key that signs. Written as base64 of 32 bytes; wiped when dropped.
pub struct ApproverKey(SigningKey);

impl ApproverKey {
    pub fn from_seed(seed: &[u8; 32]) -> ApproverKey {
        ApproverKey(SigningKey::from_bytes(seed))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.0)
    }

    /// Approves a request until a moment.
    pub fn sign(&self, question: &Question, approver: &str, expires_at: Timestamp) -> Token {
        let request = &question.request;
        let statement = Statement {
            engine: question.engine.clone(),
            request: request.id,
            nonce: question.nonce.clone(),
            scope: request.scope,
            resources: request.resources.clone(),
            account: request.account.clone(),
            expires_at,
            approver: approver.to_owned(),
        };
        let signature = self.0.sign(&statement.message());
        Token { statement, signature: data_encoding::BASE64.encode(&signature.to_bytes()) }
    }
}

impl std::fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApproverKey")
    }
}

impl Statement {
    fn message(&self) -> Vec<u8> {
        // Plain strings, numbers and lists always serialise.
        let json = serde_json::to_vec(self).unwrap_or_default();
        [PURPOSE, &json].concat()
    }
}

impl Token {
    pub fn parse(text: &str) -> Result<Token, BadToken> {
        if text.len() > MAX_TOKEN {
            return Err(BadToken::Malformed);
        }
        serde_json::from_str(text).map_err(|_| BadToken::Malformed)
    }

    /// Who approved this question, if somebody did.
    pub fn verify<'a>(
        &self,
        question: &Question,
        approvers: &'a [Approver],
        now: Timestamp,
    ) -> Result<&'a Approver, BadToken> {
        let said = &self.statement;
        let approver = approvers
            .iter()
            .find(|approver| approver.name == said.approver)
            .ok_or_else(|| BadToken::UnknownApprover(said.approver.clone()))?;
        let bad = || BadToken::Signature(said.approver.clone());
        let signature = data_encoding::BASE64.decode(self.signature.as_bytes()).map_err(|_| bad())?;
        if !approver.public_key.signed(&said.message(), &signature) {
            return Err(bad());
        }
        let request = &question.request;
        if said.engine != question.engine {
            return Err(BadToken::OtherEngine);
        }
        let same = said.request == request.id
            && said.nonce == question.nonce
            && said.scope == request.scope
            && said.resources == request.resources
            && said.account == request.account;
        match () {
            () if !same => Err(BadToken::OtherRequest),
            () if said.expires_at <= now => Err(BadToken::Expired),
            () => Ok(approver),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::elevation::{Draft, Terms, judge};

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn later(minutes: i64) -> Timestamp {
        now() + SignedDuration::from_mins(minutes)
    }

    fn question() -> Question {
        let draft = Draft {
            scope: Scope::SecretsRead,
            resources: vec!["billing/key".into()],
            account: "agent-reviewer-1".into(),
            justification: "to pay".into(),
            seconds: 1_800,
        };
        let (request, _) = judge(&draft, 7, &Terms::default(), now()).unwrap();
        Question { engine: "e1".into(), nonce: "n1".into(), request }
    }

    fn ann() -> (ApproverKey, Vec<Approver>) {
        let key = ApproverKey::from_seed(&[3; 32]);
        let approver = Approver { name: "ann".into(), public_key: key.public() };
        (key, vec![approver])
    }

    #[test]
    fn a_signature_approves_the_question_it_was_made_for() {
        let (key, approvers) = ann();
        let token = key.sign(&question(), "ann", later(20));
        let text = serde_json::to_string(&token).unwrap();
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.verify(&question(), &approvers, now()).unwrap().name, "ann");
        assert_eq!(token.verify(&question(), &approvers, later(20)), Err(BadToken::Expired));
        let printed = serde_json::to_string(&question()).unwrap();
        assert_eq!(serde_json::from_str::<Question>(&printed).unwrap(), question(), "it travels as JSON");
    }

    #[test]
    fn whatever_is_changed_approves_nothing() {
        let (key, approvers) = ann();
        let good = key.sign(&question(), "ann", later(20));
        let tampered: [fn(&mut Statement); 8] = [
            |s| s.engine = "e2".into(),
            |s| s.request = 8,
            |s| s.nonce = "n2".into(),
            |s| s.scope = Scope::ShellExecute,
            |s| s.resources = vec![Resource::parse(Scope::SecretsRead, "*").unwrap()],
            |s| s.account = "other".into(),
            |s| s.expires_at = later(200),
            |s| s.approver = "bob".into(),
        ];
        for change in tampered {
            let mut token = good.clone();
            change(&mut token.statement);
            let refused = token.verify(&question(), &approvers, now()).unwrap_err();
            assert!(matches!(refused, BadToken::Signature(_) | BadToken::UnknownApprover(_)), "{refused}");
        }
        let changes: [fn(&mut Question); 5] = [
            |q| q.engine = "e2".into(),
            |q| q.nonce = "n2".into(),
            |q| q.request.id = 8,
            |q| q.request.account = "other".into(),
            |q| q.request.resources.clear(),
        ];
        for change in changes {
            let mut other = question();
            change(&mut other);
            let refused = good.verify(&other, &approvers, now()).unwrap_err();
            assert!(matches!(refused, BadToken::OtherEngine | BadToken::OtherRequest), "{refused}");
        }
        let forged = ApproverKey::from_seed(&[4; 32]).sign(&question(), "ann", later(20));
        assert_eq!(forged.verify(&question(), &approvers, now()), Err(BadToken::Signature("ann".into())));
        assert_eq!(Token::parse("{}"), Err(BadToken::Malformed));
        assert!(!format!("{key:?}").contains('3'));
    }
}
