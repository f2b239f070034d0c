//! Makes the weights of the scored rules: logistic regression by Newton's steps.
//!
//! Positive are labelled secrets of the development set and generated lines of other seeds than the
//! reported one, behind lines of real files; negative is what the scored rules look at in the tuned half of real files.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use sallyport_detect::RuleSet;

use crate::{benign, generated, labelled};

struct Sample {
    source: String,
    file: usize,
    features: Vec<f32>,
    secret: bool,
    weight: f64,
}

pub(crate) fn run(rules: &RuleSet, dev: &Path, files: &Files<'_>, output: &Path) {
    let (samples, ordinary) = samples(rules, dev, files);
    println!("{ordinary} ordinary files");
    let counts = samples.iter().filter(|sample| sample.secret).count();
    println!("\ntraining on {counts} secrets and {} others", samples.len() - counts);
    let threshold_of = |model: &[f64]| threshold(model, &samples, ordinary);
    let mut sources: Vec<&str> = samples.iter().filter(|s| s.secret).map(|s| s.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let model = fit_where_it_counts(&samples.iter().collect::<Vec<_>>(), None, &threshold_of);
    println!("recall of the model among the values it is asked about, with the source left out");
    for left_out in sources {
        let rest: Vec<&Sample> = samples.iter().filter(|sample| sample.source != left_out).collect();
        let model = fit_where_it_counts(&rest, Some(&model), &threshold_of);
        let least = threshold_of(&model);
        let (mut hits, mut all) = (0, 0);
        for sample in samples.iter().filter(|sample| sample.secret && sample.source == left_out) {
            all += 1;
            hits += usize::from(score(&model, &sample.features) >= least);
        }
        println!("  {left_out:<24} {}", crate::share::Share::of(hits, all));
    }
    let least = threshold_of(&model);
    write(&model, least, output);
    println!("  threshold {least:.2}");
}

/// Real files without secrets.
pub(crate) struct Files<'p> {
    /// What the threshold is set on.
    pub(crate) ordinary: &'p [PathBuf],
    /// Chosen for what they say of credentials: learned from, not counted.
    pub(crate) hard: &'p [PathBuf],
}

fn samples(rules: &RuleSet, dev: &Path, files: &Files<'_>) -> (Vec<Sample>, usize) {
    let mut samples = Vec::new();
    let mut contexts = Contexts::default();
    let (mut file, mut ordinary) = (0, 0);
    for (roots, source) in [(files.ordinary, ORDINARY), (files.hard, HARD)] {
        benign::each(roots, |real| {
            if !real.tuned_on {
                return;
            }
            file += 1;
            ordinary += usize::from(source == ORDINARY);
            contexts.learn(&real.text);
            // The same value over and over in one file is one thing to learn.
            let mut seen: HashMap<String, usize> = HashMap::new();
            for judged in rules.judged(&real.text) {
                let count = seen.entry(real.text[judged.span.clone()].to_owned()).or_default();
                *count += 1;
                if *count <= 2 && seen.len() <= 60 {
                    let source = source.to_owned();
                    samples.push(Sample {
                        source,
                        file,
                        features: judged.features,
                        secret: false,
                        weight: 1.0,
                    });
                }
            }
        });
    }
    for row in labelled::read(dev) {
        if row.label == 0 {
            continue;
        }
        let (text, start) = contexts.before(&row.text);
        let secret = row.span().map(|secret| start + secret.start..start + secret.end);
        for judged in rules.judged(&text) {
            let is_it = match &secret {
                Some(secret) => judged.span.start <= secret.start && secret.end <= judged.span.end,
                None => judged.span.start >= start && judged.span.len() >= 5,
            };
            if is_it {
                let source = row.source.clone();
                samples.push(Sample {
                    source,
                    file: 0,
                    features: judged.features,
                    secret: true,
                    weight: 1.0,
                });
            }
        }
    }
    for line in (100..102).flat_map(|seed| generated::lines(seed, 5_000)) {
        let (text, start) = contexts.before(&line.text);
        for judged in rules.judged(&text).into_iter().filter(|judged| judged.span.start >= start) {
            let secret = line.secret.as_ref().is_some_and(|secret| {
                judged.span.start <= start + secret.start && start + secret.end <= judged.span.end
            });
            let source = "generated".to_owned();
            samples.push(Sample { source, file: 0, features: judged.features, secret, weight: 0.7 });
        }
    }
    (samples, ordinary)
}

const ORDINARY: &str = "files";
const HARD: &str = "hard files";

/// Lines of real files, to stand before a labelled row: it was cut out of a file, and what stands before a value counts.
#[derive(Default)]
struct Contexts {
    lines: Vec<String>,
    given: usize,
}

impl Contexts {
    fn learn(&mut self, text: &str) {
        const LONGEST: usize = 240;
        // Any place of the file; the same in each run.
        let at = blake3::hash(text.as_bytes()).as_bytes()[1];
        let end = text.floor_char_boundary(text.len() * usize::from(at) / 256);
        let end = text[..end].rfind('\n').map_or(0, |end| end + 1);
        let start = text.ceil_char_boundary(end.saturating_sub(LONGEST));
        self.lines.push(text[start..end].to_owned());
    }

    /// A row with the next lines before it, and where it begins.
    fn before(&mut self, row: &str) -> (String, usize) {
        // A step that hits each once before any comes twice, or nearly so.
        self.given += 7_919;
        let count = self.lines.len().max(1);
        let lines = self.lines.get(self.given % count).map_or("", String::as_str);
        ([lines, row].concat(), lines.len())
    }
}

fn score(model: &[f64], features: &[f32]) -> f64 {
    let (weights, bias) = model.split_at(features.len());
    bias[0] + weights.iter().zip(features).map(|(w, x)| w * f64::from(*x)).sum::<f64>()
}

/// So that at most this share of the tuned files has a value above it.
const FILES_WITH_ALARM: f64 = 0.00032;

fn threshold(model: &[f64], samples: &[Sample], files: usize) -> f64 {
    let mut worst: HashMap<usize, f64> = HashMap::new();
    for sample in samples.iter().filter(|sample| sample.source == ORDINARY) {
        let score = score(model, &sample.features);
        let worst = worst.entry(sample.file).or_insert(f64::MIN);
        *worst = worst.max(score);
    }
    let mut scores: Vec<f64> = worst.into_values().collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let allowed = (files as f64 * FILES_WITH_ALARM) as usize;
    scores.get(allowed).copied().unwrap_or(0.0)
}

/// One value in thousands may be a false alarm: what the model says of all the others need not be exact. What it puts
/// near the threshold or above is weighed more and learned again.
fn fit_where_it_counts(
    samples: &[&Sample],
    begin: Option<&[f64]>,
    threshold_of: &dyn Fn(&[f64]) -> f64,
) -> Vec<f64> {
    const ROUNDS: usize = 2;
    const NEAR: f64 = 4.0;
    const MORE: f64 = 10.0;
    let mut model = fit(samples, &|_| 1.0, begin, if begin.is_some() { 5 } else { 10 });
    for _ in 0..ROUNDS {
        let least = threshold_of(&model) - NEAR;
        let last = model.clone();
        let more = |sample: &Sample| if score(&last, &sample.features) > least { MORE } else { 1.0 };
        model = fit(samples, &more, Some(&last), 6);
    }
    model
}

/// Penalised maximum likelihood; a few steps are enough.
fn fit(samples: &[&Sample], more: &dyn Fn(&Sample) -> f64, begin: Option<&[f64]>, steps: usize) -> Vec<f64> {
    const PENALTY: f64 = 2.0;
    let size = samples[0].features.len() + 1;
    let mut model = begin.map_or_else(|| vec![0.0; size], <[f64]>::to_vec);
    let weights: Vec<f64> = samples.iter().map(|sample| sample.weight * more(sample)).collect();
    for _ in 0..steps {
        let mut gradient: Vec<f64> = model.iter().map(|w| -PENALTY * w).collect();
        gradient[size - 1] = 0.0;
        let mut curve = vec![0.0; size * size];
        for i in 0..size {
            curve[i * size + i] = if i + 1 == size { 1e-6 } else { PENALTY };
        }
        for (sample, weight) in samples.iter().zip(&weights) {
            let p = 1.0 / (1.0 + (-score(&model, &sample.features)).exp());
            let error = (f64::from(u8::from(sample.secret)) - p) * weight;
            let bend = (p * (1.0 - p)).max(1e-6) * weight;
            let active: Vec<(usize, f64)> = sample
                .features
                .iter()
                .enumerate()
                .filter(|(_, x)| **x != 0.0)
                .map(|(i, x)| (i, f64::from(*x)))
                .chain([(size - 1, 1.0)])
                .collect();
            for (i, x) in &active {
                gradient[*i] += error * x;
                for (j, y) in active.iter().take_while(|(j, _)| j <= i) {
                    curve[i * size + j] += bend * x * y;
                }
            }
        }
        for i in 0..size {
            for j in 0..i {
                curve[j * size + i] = curve[i * size + j];
            }
        }
        let step = solve(curve, gradient, size);
        let longest = step.iter().fold(0.0f64, |most, s| most.max(s.abs()));
        let damping = (4.0 / longest).min(1.0);
        for (weight, step) in model.iter_mut().zip(&step) {
            *weight += damping * step;
        }
        if longest < 1e-4 {
            break;
        }
    }
    model
}

/// Gauss's elimination; the matrix is positive.
fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>, size: usize) -> Vec<f64> {
    for column in 0..size {
        let pivot = matrix[column * size + column];
        for row in column + 1..size {
            let factor = matrix[row * size + column] / pivot;
            if factor != 0.0 {
                for k in column..size {
                    matrix[row * size + k] -= factor * matrix[column * size + k];
                }
                right[row] -= factor * right[column];
            }
        }
    }
    for column in (0..size).rev() {
        for k in column + 1..size {
            right[column] -= matrix[column * size + k] * right[k];
        }
        right[column] /= matrix[column * size + column];
    }
    right
}

fn write(model: &[f64], threshold: f64, output: &Path) {
    let [names, closer] = RuleSet::feature_names();
    let mut text = String::from("//! Made by `examples/accuracy --train`; not for hands.\n\n");
    let _ = writeln!(text, "pub(super) const THRESHOLD: f32 = {threshold:.4};");
    let _ = writeln!(text, "pub(super) const BIAS: f32 = {:.4};", model[model.len() - 1]);
    text.push_str("#[rustfmt::skip]\npub(super) const WEIGHTS: &[f32] = &[\n");
    let (plain, rest) = model[..model.len() - 1].split_at(names.len());
    let (crosses, closely) = rest.split_at(rest.len() - closer.len());
    for (name, weight) in names.iter().zip(plain) {
        let _ = writeln!(text, "    {weight:.4}, // {name}");
    }
    for row in crosses.chunks(10) {
        let row: Vec<String> = row.iter().map(|weight| format!("{weight:.3},")).collect();
        let _ = writeln!(text, "    {}", row.join(" "));
    }
    text.push_str("];\n#[rustfmt::skip]\npub(super) const CLOSER: &[f32] = &[\n");
    for (name, weight) in closer.iter().zip(closely) {
        let _ = writeln!(text, "    {weight:.4}, // {name}");
    }
    text.push_str("];\n");
    std::fs::write(output, text).expect("the file of --train");
}
