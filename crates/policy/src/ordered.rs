//! Choices of a setting that are ordered by how strict they are, so that of two the stricter one can count.

/// An enum whose later variants are the stricter ones, written in lower case. One is the `#[default]`.
macro_rules! ordered {
    ($(#[$about:meta])* pub enum $name:ident { $($variants:tt)* }) => {
        #[derive(
            Debug,
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Default,
            serde::Serialize,
            serde::Deserialize,
            schemars::JsonSchema,
        )]
        #[serde(rename_all = "lowercase")]
        $(#[$about])*
        pub enum $name { $($variants)* }
    };
}

pub(crate) use ordered;
