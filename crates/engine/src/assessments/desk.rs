//! Assessments as the control socket sees them. An approval is in the trail before it counts.

use std::sync::Arc;

use sallyport_ipc::types::{
    AssessmentAnswer, AssessmentApproval, AssessmentCondition, AssessmentDraft, AssessmentQuestion,
    AssessmentView,
};
use sallyport_ipc::{ControlError, ErrorCode, Proof};
use sallyport_policy::assessment::{self, Answer, Approval, AssessmentRecord, Day, Standing};
use sallyport_policy::settings::{Snapshot, UnapprovedTools};

use super::files::{Files, wrong};
use crate::control::trail_failed;
use crate::engine::Engine;
use crate::foyer::Foyer;
use crate::record::ControlAction;
use crate::{policy, reload};

/// Longer ones are no answer but a document, which is named as evidence.
const LONGEST: usize = 4096;
const MOST: usize = 64;

impl Engine {
    /// Where the administrator's word alone counts, nobody here approves a tool.
    pub(crate) fn approval_not_ours(&self) -> Option<ControlError> {
        administrators(&self.policy().snapshot).then(|| {
            ControlError::new(
                ErrorCode::NotPermitted,
                "Policy of whoever manages this machine decides which tools are approved here.",
            )
            .with_hint(format!(
                "Hand the tool's file in {} to them; assessments in {} count.",
                self.paths.assessments_dir().display(),
                self.paths.managed_assessments_dir().display()
            ))
        })
    }

    pub(crate) fn assessment_list(&self, foyer: &Foyer) -> Result<Vec<AssessmentView>, ControlError> {
        let policy = self.policy();
        let all = Files(&self.paths).all()?;
        let views = all.into_iter().map(|(record, managed)| view(foyer, &policy.snapshot, record, managed));
        views.collect()
    }

    pub(crate) async fn assessment_begun(
        self: &Arc<Self>,
        foyer: &Foyer,
        draft: AssessmentDraft,
    ) -> Result<AssessmentView, ControlError> {
        let _turn = self.assessing.0.lock().await;
        let snapshot = &self.policy().snapshot;
        let files = Files(&self.paths);
        let AssessmentDraft { tool, providers, template, certificates } = draft;
        if files.own(&tool)?.exists() {
            return Err(ControlError::new(ErrorCode::Conflict, format!("{tool} has an assessment already."))
                .with_hint(format!("`sallyport assess show {tool}` shows it.")));
        }
        if providers.is_empty() || providers.len() > MOST || certificates.len() > MOST {
            return Err(wrong(
                "An assessment names the providers that its tool talks to.",
                "--provider NAME",
            ));
        }
        if let Some(name) = providers.iter().find(|name| snapshot.providers.provider(name).is_none()) {
            return Err(wrong(
                format!("No provider is called {name:?}."),
                "`sallyport policy show` and docs/policy.md name providers.",
            ));
        }
        if certificates.iter().any(|name| name.len() > LONGEST) {
            return Err(wrong("That is no certificate's name.", "Such as SOC2 or ISO27001."));
        }
        let known: Vec<&str> = snapshot.templates.keys().map(String::as_str).collect();
        let template = match (template, known.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => (*only).to_owned(),
            (None, []) => String::new(),
            (None, _) => {
                return Err(wrong("Which template?", format!("--template {}", known.join(" or "))));
            }
        };
        if !snapshot.templates.contains_key(&template) {
            return Err(wrong(
                match template.is_empty() {
                    true => "There is no SecurityAssessmentTemplate.".to_owned(),
                    false => format!("No SecurityAssessmentTemplate is called {template:?}."),
                },
                "Put one among the policy documents.",
            ));
        }
        let record = AssessmentRecord {
            tool,
            providers: providers.into_iter().collect(),
            template,
            created: today()?,
            certificates: certificates.into_iter().collect(),
            answers: Default::default(),
            approval: None,
        };
        self.assessment_written(foyer, record).await
    }

    pub(crate) async fn assessment_answered(
        self: &Arc<Self>,
        foyer: &Foyer,
        answer: AssessmentAnswer,
    ) -> Result<AssessmentView, ControlError> {
        let _turn = self.assessing.0.lock().await;
        let mut record = self.own_record(&answer.tool)?;
        let AssessmentAnswer { question, answer, severity, mitigation, evidence, .. } = answer;
        let template = self.policy().snapshot.templates.get(&record.template).cloned();
        let questions = || template.iter().flat_map(|t| &t.phases).flat_map(|phase| &phase.questions);
        if !questions().any(|asked| asked.id == question) {
            let ids: Vec<_> = questions().map(|asked| asked.id.as_str()).collect();
            return Err(wrong(
                format!("{} asks no question {question:?}.", record.template),
                format!("Its questions are {}.", ids.join(", ")),
            ));
        }
        let texts = evidence.iter().chain(&mitigation).chain([&answer]);
        if evidence.len() > MOST || texts.into_iter().any(|text| text.len() > LONGEST) {
            return Err(wrong(
                format!("An answer has {LONGEST} bytes and {MOST} pieces of evidence at most."),
                "Name the document that says more as evidence.",
            ));
        }
        if answer.trim().is_empty() {
            return Err(wrong("An answer says something.", "Say what was found: --answer TEXT."));
        }
        record.answers.insert(question, Answer { answer, severity, mitigation, evidence });
        // It was given for other answers.
        record.approval = None;
        self.assessment_written(foyer, record).await
    }

    pub(crate) async fn assessment_approved(
        self: &Arc<Self>,
        foyer: &Foyer,
        approval: AssessmentApproval,
        proof: Proof,
    ) -> Result<AssessmentView, ControlError> {
        let advisory = match proof {
            Proof::Authenticated => false,
            Proof::Advisory => true,
            Proof::NotNeeded => {
                return Err(ControlError::new(ErrorCode::NotPermitted, "Nobody was asked to approve this."));
            }
        };
        let _turn = self.assessing.0.lock().await;
        if let Some(error) = self.approval_not_ours() {
            return Err(error);
        }
        let mut record = self.own_record(&approval.tool)?;
        let today = today()?;
        let until = until(approval.until.as_deref(), &today)?;
        record.approval =
            Some(Approval { by: self.identity.user.clone(), on: today.clone(), until, seal: None });
        let snapshot = &self.policy().snapshot;
        let standing = assessment::standing(&record, snapshot.templates.get(&record.template), &today);
        let Standing::Approved { until } = standing else {
            return Err(ControlError::new(
                ErrorCode::Conflict,
                format!("{} can't be approved: {standing}.", record.tool),
            )
            .with_hint(format!("`sallyport assess show {}` says what is missing.", record.tool)));
        };
        let seals = foyer.seals.get().ok_or_else(|| {
            ControlError::new(ErrorCode::Unavailable, "Keys are not open yet, so nothing can be sealed.")
        })?;
        seals.seal(&mut record);
        let how = if advisory { "; nobody could be asked who is at the desk" } else { "" };
        let providers: Vec<_> = record.providers.iter().cloned().collect();
        let outcome = format!("approved until {until} for {}{how}", providers.join(", "));
        self.record_control_on(
            ControlAction::AssessmentApproved,
            "none",
            &format!("tool {}", record.tool),
            &outcome,
            advisory,
        )
        .await
        .map_err(trail_failed)?;
        self.assessment_written(foyer, record).await
    }

    /// This user's; what the administrator wrote is not changed here.
    fn own_record(&self, tool: &str) -> Result<AssessmentRecord, ControlError> {
        match Files(&self.paths).read(tool)? {
            (record, false) if record.tool == tool => Ok(record),
            (_, false) => Err(ControlError::new(
                ErrorCode::Conflict,
                format!("The file of {tool} is about another tool."),
            )
            .with_hint("Name the file as the tool.")),
            (_, true) => Err(ControlError::new(
                ErrorCode::NotPermitted,
                format!("The assessment of {tool} is whose who manages this machine."),
            )
            .with_hint("Ask them to change it.")),
        }
    }

    /// Writes it down and puts what it says in force.
    async fn assessment_written(
        self: &Arc<Self>,
        foyer: &Foyer,
        record: AssessmentRecord,
    ) -> Result<AssessmentView, ControlError> {
        Files(&self.paths).write(&record)?;
        reload::now(self, foyer).await.map_err(trail_failed)?;
        view(foyer, &self.policy().snapshot, record, false)
    }
}

fn administrators(snapshot: &Snapshot) -> bool {
    let refuses = &snapshot.unapproved_tools;
    refuses.locked && refuses.value != UnapprovedTools::Allow
}

fn today() -> Result<Day, ControlError> {
    policy::today().ok_or_else(|| {
        ControlError::new(ErrorCode::Unavailable, "This machine's clock shows no usable date.")
    })
}

fn until(text: Option<&str>, today: &Day) -> Result<Day, ControlError> {
    let until = match text {
        Some(text) => Day::parse(text),
        None => Day::parse(&jiff::Zoned::now().saturating_add(jiff::Span::new().years(1)).date().to_string()),
    };
    match until {
        Some(day) if day >= *today => Ok(day),
        Some(day) => Err(wrong(format!("{day} has passed already."), "Name a day to come.")),
        None => Err(wrong("That is no day.", "Such as 2027-06-30.")),
    }
}

fn view(
    foyer: &Foyer,
    snapshot: &Snapshot,
    mut record: AssessmentRecord,
    managed: bool,
) -> Result<AssessmentView, ControlError> {
    let sealed = || foyer.seals.get().is_some_and(|seals| seals.holds(&record));
    if !managed && !sealed() {
        // What somebody else wrote there is no approval.
        record.approval = None;
    }
    let template = snapshot.templates.get(&record.template);
    let asked = template.into_iter().flat_map(|t| &t.phases).flat_map(|phase| &phase.questions);
    let questions = asked.map(|question| AssessmentQuestion {
        id: question.id.clone(),
        question: question.question.clone(),
        answered: record.answers.contains_key(&question.id),
        required_evidence: question.required_evidence.clone(),
        risk_factors: question.risk_factors.clone(),
    });
    let judged = template.map(|template| assessment::criteria(&record, template)).unwrap_or_default();
    let conditions = judged.into_iter().map(|(name, met)| AssessmentCondition {
        name: name.to_owned(),
        met: met == Ok(true),
        error: met.err().map(|error| error.to_string()),
    });
    Ok(AssessmentView {
        managed,
        counts: managed || !administrators(snapshot),
        standing: assessment::standing(&record, template, &today()?),
        questions: questions.collect(),
        conditions: conditions.collect(),
        record,
    })
}
