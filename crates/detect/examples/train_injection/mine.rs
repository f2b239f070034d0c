//! Which of the machine's files are worth learning from: some as they come, and of all others those that a first model
//! takes for attacks or nearly so.

use crate::corpus::Sample;
use crate::fit::{Document, Plan, Weights};
use crate::side_by_side;

/// A file that scores less teaches nothing.
pub(crate) const DULL: f32 = -3.0;

/// The innocent files to learn from: the `first` of `machine`, then the hard ones of the rest, asked for in two rounds so
/// that the second knows what the first has found. `made` knows no labelled attack, so none decides what is hard.
pub(crate) fn chosen(machine: &[&Sample], first: usize, made: &[Document], plan: &Plan) -> Vec<Document> {
    let (first, rest) = machine.split_at(first.min(machine.len()));
    let mut documents = side_by_side::map(first, |sample| Document::of(sample));
    for part in rest.chunks(rest.len().div_ceil(2).max(1)) {
        let all: Vec<&Document> = made.iter().chain(&documents).collect();
        let weights = Weights::fit(&all, plan, 3);
        let hard = side_by_side::map(part, |sample| {
            Some(Document::of(sample)).filter(|document| weights.score(document) > DULL)
        });
        documents.extend(hard.into_iter().flatten());
    }
    documents
}
