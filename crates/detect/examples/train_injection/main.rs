//! Trains the injection classifier and says how good it is on what it has not seen.
//!
//! `cargo run --release -p sallyport-detect --example train_injection -- SET.jsonl.gz OUT_DIR FOLDER…`: the labelled
//! set, where the weights go, and folders of innocent developer text. The same input gives the same weights.
//! `ONLY=user` or `ONLY=tool` trains one lane, `SHOW=1` prints the texts it is wrong about, `HALVES=1` leaves half of the
//! sources out together instead of each alone, `QUICK=1` leaves out what is only measured; all give the same weights.
#![allow(clippy::print_stdout)]

mod corpus;
mod fit;
mod grammar;
mod mine;
mod report;
mod side_by_side;

use std::path::PathBuf;
use std::process::ExitCode;

use corpus::{Lane, Sample};
use fit::{Document, Plan, Weights};
use grammar::{Dice, Grammar};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(set), Some(out)) = (arguments.next(), arguments.next()) else {
        println!("train_injection SET.jsonl.gz OUT_DIR FOLDER…");
        return ExitCode::from(2);
    };
    let folders: Vec<PathBuf> = arguments.collect();
    let only = std::env::var("ONLY").unwrap_or_default();
    println!("reading {} folders", folders.len());
    let machine = corpus::machine(&folders, 60_000, 8_000);
    println!("{} files of developer text, {} MB", machine.len(), megabytes(&machine));
    for (lane, name) in [(Lane::User, "user"), (Lane::Tool, "tool")] {
        if !only.is_empty() && only != name {
            continue;
        }
        let started = std::time::Instant::now();
        let weights = report::lane(lane, &set, &machine);
        let file = out.join(format!("injection-{name}.bin"));
        std::fs::write(&file, weights.quantised()).expect("weights are written");
        println!("{name}: {} in {:.0} s\n", file.display(), started.elapsed().as_secs_f32());
    }
    ExitCode::SUCCESS
}

fn megabytes(samples: &[Sample]) -> usize {
    samples.iter().map(|sample| sample.text.len()).sum::<usize>() / 1_000_000
}

/// How each lane learns.
fn plan(lane: Lane) -> Plan {
    match lane {
        Lane::User => {
            Plan { bits: 19, epochs: 10, rate: 0.25, decay: 2e-5, attack_weight: 1.0, left_out: 20 }
        }
        Lane::Tool => {
            Plan { bits: 20, epochs: 10, rate: 0.25, decay: 2e-5, attack_weight: 1.0, left_out: 20 }
        }
    }
}

/// How the first models learn, which only say what is hard.
fn mining() -> Plan {
    Plan { epochs: 4, left_out: 50, ..plan(Lane::Tool) }
}

/// So many files are learnt from as they come. People paste code and documents too, but less.
fn plain_files(lane: Lane) -> usize {
    if lane == Lane::User { 4_000 } else { 14_000 }
}

fn documents(samples: &[Sample]) -> Vec<Document> {
    side_by_side::map(samples, Document::of)
}

/// What a lane learns from besides the labelled set.
fn made(grammar: &Grammar, lane: Lane, seed: u64, machine: &[Sample]) -> Vec<Sample> {
    let count = if lane == Lane::User { 108_000 } else { 32_000 };
    let mut dice = Dice::new(seed);
    let mut samples = corpus::generated(grammar, lane, count, &mut dice);
    if lane == Lane::User {
        samples.extend(corpus::asked(machine, 12_000, &mut dice));
    }
    samples
}

fn train(documents: &[&Document], lane: Lane) -> Weights {
    Weights::fit(documents, &plan(lane), 7)
}
