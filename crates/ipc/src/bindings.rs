//! The UI's types, written from ours: `ui/src/lib/types/ipc.ts` fails here when it no longer says the same.
//! `UPDATE_BINDINGS=1 cargo test -p sallyport-ipc bindings` writes it anew.

use std::collections::BTreeMap;
use std::path::Path;

use ts_rs::{Config, TS, TypeVisitor};

use crate::error::ControlError;
use crate::types::*;

const HEAD: &str = "\
// Written by `UPDATE_BINDINGS=1 cargo test -p sallyport-ipc bindings` from crates/ipc/src/types.rs. Not for editing.

import type { AuditEvent } from './audit';

";

struct Declarations {
    config: Config,
    found: BTreeMap<String, String>,
}

impl Declarations {
    fn with<T: TS + 'static + ?Sized>(mut self) -> Self {
        self.visit::<T>();
        self
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Numbers, strings and lists have no file of their own: they are named where they stand.
        if T::output_path().is_none() || self.found.contains_key(&T::ident(&self.config)) {
            return;
        }
        let docs = T::docs().unwrap_or_default();
        let declared = format!("{docs}export {}\n\n", T::decl(&self.config));
        self.found.insert(T::ident(&self.config), declared);
        T::visit_dependencies(self);
    }
}

#[test]
fn the_ui_has_the_same_types() {
    // What routes take and give; the types inside are found from these.
    let declarations =
        Declarations { config: Config::new().with_large_int("number"), found: BTreeMap::new() }
            .with::<Activity>()
            .with::<AgentSessionRequest>()
            .with::<AllowAnswer>()
            .with::<AllowDraft>()
            .with::<AllowEntry>()
            .with::<AllowQuestion>()
            .with::<AllowRemoval>()
            .with::<ActivityRequest>()
            .with::<AssessmentAnswer>()
            .with::<AssessmentApproval>()
            .with::<AssessmentDraft>()
            .with::<AssessmentView>()
            .with::<AuditFilter>()
            .with::<AuditPage>()
            .with::<CaView>()
            .with::<ContentRequest>()
            .with::<ControlError>()
            .with::<ElevationAnswer>()
            .with::<ElevationDraft>()
            .with::<ElevationToken>()
            .with::<ElevationView>()
            .with::<Event>()
            .with::<Flow>()
            .with::<IssuedSession>()
            .with::<KeptContent>()
            .with::<OffRequest>()
            .with::<PolicyView>()
            .with::<QuotaHistory>()
            .with::<QuotaView>()
            .with::<RuleView>()
            .with::<SelfTestReport>()
            .with::<SourceStatus>()
            .with::<Status>()
            .with::<TrailProof>();
    let expected: String = std::iter::once(HEAD.to_owned()).chain(declarations.found.into_values()).collect();
    let expected = format!("{}\n", expected.trim_end());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/src/lib/types/ipc.ts");
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        std::fs::write(&file, &expected).expect("the UI's types can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "the UI's types are not ours any more: run `UPDATE_BINDINGS=1 cargo test -p sallyport-ipc bindings`"
    );
}
