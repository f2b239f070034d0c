//! What sort of danger a rule is about, so that policy can speak of each by itself.

use super::{code, listed};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Commands that destroy, that download and run, that open the machine; the patterns of the policy documents.
    Commands,
    /// Packages that look like a popular one.
    Packages,
    /// Code that is insecure by habit.
    Code,
    FileTypes,
    Execution,
}

impl Kind {
    /// As policy names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Commands => "commands",
            Kind::Packages => "packages",
            Kind::Code => "code",
            Kind::FileTypes => "fileTypes",
            Kind::Execution => "execution",
        }
    }
}

/// The kind of a finding's rule.
pub fn kind(rule: &str) -> Kind {
    match rule {
        super::LOOK_ALIKE => Kind::Packages,
        listed::FILE_TYPE => Kind::FileTypes,
        listed::EXECUTION => Kind::Execution,
        rule if code::HABITS.contains(&rule) => Kind::Code,
        _ => Kind::Commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{OutputOptions, find};

    #[test]
    fn each_kind_is_told_by_its_findings() {
        for (text, expected) in [
            ("rm -rf /", Kind::Commands),
            ("shutil.rmtree('/')", Kind::Commands),
            ("pip install reqeusts", Kind::Packages),
            ("r = requests.get(url, verify=False)", Kind::Code),
            ("see notes/plan.exe", Kind::FileTypes),
            ("code_execution is on", Kind::Execution),
        ] {
            let types = (expected == Kind::FileTypes).then(|| ["py".to_owned()].into());
            let options = OutputOptions {
                allowed_extensions: types,
                execution_denied: true,
                ..OutputOptions::default()
            };
            let found = find(text, &options);
            assert_eq!(found.first().map(|found| kind(found.rule)), Some(expected), "{text}");
        }
    }
}
