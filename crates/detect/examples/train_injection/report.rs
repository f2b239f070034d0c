//! What the classifier reaches: each source is left out of training in turn and measured then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sallyport_detect::injection::model::lenience;

use crate::corpus::{self, Lane, Sample};
use crate::fit::{Document, Weights};
use crate::grammar::{Dice, Grammar};
use crate::{documents, made, mine, mining, plain_files, side_by_side, train};

/// Packages whose files are never learnt from; they tell the false alarms.
fn held_out(source: &str) -> bool {
    source.strip_prefix("machine:").is_some_and(|package| {
        package.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 4 == 0
    })
}

/// Sources that are left out together where there is no time for each alone: harder, and two trainings.
fn half(source: &str) -> &'static str {
    match source {
        "deepset" | "cyberseceval-pi" | "gptfuzzer" | "alpaca-eval" | "xstest" => "one",
        _ => "other",
    }
}

/// Trains one lane, prints its table, gives the weights of all there is.
pub(crate) fn lane(lane: Lane, set: &Path, machine: &[Sample]) -> Weights {
    let grammar = Grammar::of(lane);
    let labelled = corpus::deduplicate(corpus::labelled(set, lane, &grammar));
    let made_documents = documents(&made(&grammar, lane, 1, machine));
    let labelled_documents = documents(&labelled);
    let (held, learnt): (Vec<&Sample>, Vec<&Sample>) =
        machine.iter().partition(|sample| held_out(&sample.source));
    let held = corpus::deduplicate(capped(held));
    let held_documents = side_by_side::map(&held, |sample| Document::of(sample));
    let mut hints = documents(&corpus::generated(&grammar, lane, 12_000, &mut Dice::new(2)));
    hints.extend(labelled.iter().filter(|sample| sample.place.is_some()).map(Document::of));
    let plain = plain_files(lane);
    let machine_documents = mine::chosen(&learnt, plain, &hints, &mining());
    println!(
        "{} of {} files are learnt from, {} are held out",
        machine_documents.len(),
        learnt.len(),
        held.len()
    );
    let common: Vec<&Document> = made_documents.iter().chain(&machine_documents).collect();
    let sources: BTreeSet<&str> = labelled.iter().map(|sample| sample.source.as_str()).collect();
    let halves = std::env::var_os("HALVES").is_some();
    let families: BTreeMap<&str, Vec<&str>> = sources.iter().fold(BTreeMap::new(), |mut map, source| {
        // Translations of one set are that set.
        let family = source.trim_end_matches("-ml");
        let family = if halves { half(family) } else { family };
        map.entry(family).or_default().push(*source);
        map
    });
    let mut attacks: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    let mut innocent: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    let mut shown: Vec<(f32, bool, String)> = Vec::new();
    let quick = std::env::var_os("QUICK").is_some();
    // Nothing is left out last.
    let left_out: Vec<&[&str]> =
        families.values().filter(|_| !quick).map(Vec::as_slice).chain([&[][..]]).collect();
    let mut trained = side_by_side::map(&left_out, |names| {
        let rest: Vec<&Document> = labelled_documents
            .iter()
            .zip(&labelled)
            .filter(|(_, sample)| !names.contains(&sample.source.as_str()))
            .map(|(document, _)| document)
            .chain(common.iter().copied())
            .collect();
        train(&rest, lane).rounded()
    });
    let rounded = trained.pop().expect("the weights of all");
    for (names, weights) in left_out.iter().zip(&trained) {
        for (document, sample) in labelled_documents.iter().zip(&labelled) {
            if names.contains(&sample.source.as_str()) {
                let table = if sample.attack { &mut attacks } else { &mut innocent };
                let score = judged(lane, weights, document);
                table.entry(&sample.source).or_default().push(score);
                if std::env::var_os("SHOW").is_some() {
                    let window = weights.worst(document).map_or("", |span| &sample.text[span]);
                    shown.push((score, sample.attack, format!("{} {window:?}", sample.source)));
                }
            }
        }
    }
    println!("biases {:?}", rounded.biases);
    let mut developer: Vec<f32> =
        side_by_side::map(&held_documents, |document| judged(lane, &rounded, document));
    if std::env::var_os("SHOW").is_some() {
        let mut worst: Vec<_> = developer.iter().zip(&held_documents).zip(&held).collect();
        worst.sort_by(|a, b| b.0.0.total_cmp(a.0.0));
        for ((score, document), sample) in worst.into_iter().take(25) {
            let window = rounded.worst(document).map_or("", |span| &sample.text[span]);
            println!("DEV {score:.2} {} {:?}", sample.source, window.chars().take(240).collect::<String>());
        }
    }
    developer.sort_by(f32::total_cmp);
    let chat: Vec<f32> = match lane {
        // Programming exercises are too easy to be counted as ordinary chat.
        Lane::User => innocent
            .iter()
            .filter(|(source, _)| !matches!(**source, "codealpaca" | "humaneval"))
            .flat_map(|(_, scores)| scores.iter().copied())
            .collect(),
        Lane::Tool => developer.clone(),
    };
    let share = if lane == Lane::User { 0.01 } else { 0.001 };
    let threshold = quantile(&chat, 1.0 - share);
    println!("threshold {threshold:.2} at {:.1} % of {} innocent texts", share * 100.0, chat.len());
    shown.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (score, _, text) in shown.iter().rev().filter(|(_, attack, _)| !attack).take(90) {
        println!("FP {score:.2} {}", text.chars().take(300).collect::<String>());
    }
    for (score, _, text) in
        shown.iter().filter(|(score, attack, _)| *attack && *score < threshold).step_by(12)
    {
        println!("MISS {score:.2} {}", text.chars().take(260).collect::<String>());
    }
    show("found, source left out", &attacks, threshold);
    show("false alarms, source left out", &innocent, threshold);
    println!("developer text held out: {:.3} % of {}", over(&developer, threshold) * 100.0, developer.len());
    fresh(lane, &rounded, threshold);
    written_apart(lane, &rounded, threshold);
    if lane == Lane::Tool && !quick {
        families_left_out(&labelled_documents, &machine_documents, threshold);
    }
    // What was held out to measure is learnt from in the end: the program's weights know it too.
    let held_hard: Vec<&Document> =
        held_documents.iter().filter(|document| rounded.score(document) > mine::DULL).collect();
    let all: Vec<&Document> =
        labelled_documents.iter().chain(common.iter().copied()).chain(held_hard).collect();
    train(&all, lane)
}

/// What is held against the threshold: in data a text is judged by its length as well.
fn judged(lane: Lane, weights: &Weights, document: &Document) -> f32 {
    let lenience = if lane == Lane::Tool { lenience(document.blocks()) } else { 0.0 };
    weights.score(document) + lenience
}

/// So many files of one package are measured, so that no package decides alone.
const OF_A_PACKAGE: usize = 60;

fn capped(samples: Vec<&Sample>) -> Vec<&Sample> {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    samples
        .into_iter()
        .filter(|sample| {
            let count = taken.entry(&sample.source).or_default();
            *count += 1;
            *count <= OF_A_PACKAGE
        })
        .collect()
}

/// Texts that somebody wrote apart from the grammar.
fn written_apart(lane: Lane, weights: &Weights, threshold: f32) {
    let samples = corpus::apart(lane);
    let scores = |attack: bool| {
        let mut table: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
        for sample in samples.iter().filter(|sample| sample.attack == attack) {
            table.entry(&sample.source).or_default().push(judged(lane, weights, &Document::of(sample)));
        }
        table
    };
    show("written apart, found", &scores(true), threshold);
    show("written apart, false alarms", &scores(false), threshold);
}

/// New texts of the grammar, other than those learnt from.
fn fresh(lane: Lane, weights: &Weights, threshold: f32) {
    let samples = corpus::generated(&Grammar::of(lane), lane, 2_000, &mut Dice::new(99));
    let scores = |attack: bool| -> Vec<f32> {
        samples
            .iter()
            .filter(|s| s.attack == attack)
            .map(|s| judged(lane, weights, &Document::of(s)))
            .collect()
    };
    println!(
        "new texts of the grammar: {:.3} found, {:.3} % false alarms",
        over(&scores(true), threshold),
        over(&scores(false), threshold) * 100.0
    );
}

/// Hidden tasks of a kind that training has not seen.
fn families_left_out(labelled: &[Document], machine: &[Document], threshold: f32) {
    let names = [
        "task_home",
        "task_money",
        "task_dev",
        "task_mail",
        "task_health",
        "task_social",
        "to_ai",
        "foreign",
    ];
    let found = side_by_side::map(&names, |name| {
        let made = documents(&made(&unknowing(name), Lane::Tool, 1, &[]));
        let all: Vec<&Document> = labelled.iter().chain(&made).chain(machine).collect();
        let weights = train(&all, Lane::Tool).rounded();
        let (grammar, mut dice) = (Grammar::of(Lane::Tool), Dice::new(5));
        let samples: Vec<Sample> = (0..1_000)
            .map(|_| {
                let words = grammar.make(name, &mut dice);
                corpus::carried(&grammar, &words, true, &mut dice)
            })
            .collect();
        let scores: Vec<f32> =
            samples.iter().map(|sample| judged(Lane::Tool, &weights, &Document::of(sample))).collect();
        over(&scores, threshold)
    });
    for (name, found) in names.iter().zip(found) {
        println!("  {name:<14} unseen in training: {found:.3} found");
    }
}

/// The grammar without one kind of task, in whatever words it is put.
fn unknowing(name: &str) -> Grammar {
    match name.strip_prefix("task_") {
        Some(kind) => Grammar::of(Lane::Tool).without(name).without(&format!("plain_{kind}")),
        None => Grammar::of(Lane::Tool).without(name),
    }
}

fn show(title: &str, table: &BTreeMap<&str, Vec<f32>>, threshold: f32) {
    let all: Vec<f32> = table.values().flatten().copied().collect();
    println!("{title}: {:.3} of {}", over(&all, threshold), all.len());
    for (source, scores) in table {
        println!("  {source:<22} {:.3} of {}", over(scores, threshold), scores.len());
    }
}

fn over(scores: &[f32], threshold: f32) -> f32 {
    scores.iter().filter(|score| **score >= threshold).count() as f32 / scores.len().max(1) as f32
}

fn quantile(scores: &[f32], share: f64) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(0.0)
}
