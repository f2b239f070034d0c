//! Makes the weights of the scored rules: logistic regression by Newton's steps.
//!
//! Positive are labelled secrets of the development set and generated lines of other seeds than the
//! reported one; negative is what the scored rules look at in the tuned half of the real files.

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

pub(crate) fn run(rules: &RuleSet, dev: &Path, roots: &[PathBuf], output: &Path) {
    let samples = samples(rules, dev, roots);
    let counts = samples.iter().filter(|sample| sample.secret).count();
    println!("\ntraining on {counts} secrets and {} others", samples.len() - counts);
    let threshold_of = |model: &[f64]| threshold(model, &samples);
    let mut sources: Vec<&str> = samples.iter().filter(|s| s.secret).map(|s| s.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let model = fit(&samples.iter().collect::<Vec<_>>(), None, 10);
    println!("recall of the model among the values it is asked about, with the source left out");
    for left_out in sources {
        let rest: Vec<&Sample> = samples.iter().filter(|sample| sample.source != left_out).collect();
        let model = fit(&rest, Some(&model), 5);
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

fn samples(rules: &RuleSet, dev: &Path, roots: &[PathBuf]) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut file = 0;
    for row in labelled::read(dev) {
        if row.label == 0 {
            continue;
        }
        let secret = row.span();
        for judged in rules.judged(&row.text) {
            let is_it = match &secret {
                Some(secret) => judged.span.start <= secret.start && secret.end <= judged.span.end,
                None => judged.span.len() >= 5,
            };
            if is_it {
                samples.push(Sample {
                    source: row.source.clone(),
                    file,
                    features: judged.features,
                    secret: true,
                    weight: 1.0,
                });
            }
        }
        file += 1;
    }
    for line in (100..102).flat_map(|seed| generated::lines(seed, 5_000)) {
        for judged in rules.judged(&line.text) {
            let secret = line
                .secret
                .as_ref()
                .is_some_and(|secret| judged.span.start <= secret.start && secret.end <= judged.span.end);
            samples.push(Sample {
                source: "generated".to_owned(),
                file,
                features: judged.features,
                secret,
                weight: 0.7,
            });
        }
        file += 1;
    }
    benign::each(roots, |real| {
        file += 1;
        if !real.tuned_on {
            return;
        }
        // The same value over and over in one file is one thing to learn.
        let mut seen: HashMap<String, usize> = HashMap::new();
        for judged in rules.judged(&real.text) {
            let count = seen.entry(real.text[judged.span.clone()].to_owned()).or_default();
            *count += 1;
            if *count <= 2 && seen.len() <= 60 {
                samples.push(Sample {
                    source: "files".to_owned(),
                    file,
                    features: judged.features,
                    secret: false,
                    weight: 1.0,
                });
            }
        }
    });
    samples
}

fn score(model: &[f64], features: &[f32]) -> f64 {
    let (weights, bias) = model.split_at(features.len());
    bias[0] + weights.iter().zip(features).map(|(w, x)| w * f64::from(*x)).sum::<f64>()
}

/// So that at most this share of the tuned files has a value above it.
const FILES_WITH_ALARM: f64 = 0.00033;

fn threshold(model: &[f64], samples: &[Sample]) -> f64 {
    let mut worst: HashMap<usize, f64> = HashMap::new();
    for sample in samples.iter().filter(|sample| sample.source == "files") {
        let score = score(model, &sample.features);
        let worst = worst.entry(sample.file).or_insert(f64::MIN);
        *worst = worst.max(score);
    }
    let files = samples.iter().map(|sample| sample.file).max().unwrap_or(0);
    let mut scores: Vec<f64> = worst.into_values().collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    // Half of the files are looked at.
    let allowed = (files as f64 / 2.0 * FILES_WITH_ALARM) as usize;
    scores.get(allowed).copied().unwrap_or(0.0)
}

/// Penalised maximum likelihood; a few steps are enough.
fn fit(samples: &[&Sample], begin: Option<&[f64]>, steps: usize) -> Vec<f64> {
    const PENALTY: f64 = 2.0;
    let size = samples[0].features.len() + 1;
    let mut model = begin.map_or_else(|| vec![0.0; size], <[f64]>::to_vec);
    for _ in 0..steps {
        let mut gradient: Vec<f64> = model.iter().map(|w| -PENALTY * w).collect();
        gradient[size - 1] = 0.0;
        let mut curve = vec![0.0; size * size];
        for i in 0..size {
            curve[i * size + i] = if i + 1 == size { 1e-6 } else { PENALTY };
        }
        for sample in samples {
            let p = 1.0 / (1.0 + (-score(&model, &sample.features)).exp());
            let error = (f64::from(u8::from(sample.secret)) - p) * sample.weight;
            let bend = (p * (1.0 - p)).max(1e-6) * sample.weight;
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
    let names = RuleSet::feature_names();
    let mut text = String::from("//! Made by `examples/accuracy --train`; not for hands.\n\n");
    let _ = writeln!(text, "pub(super) const THRESHOLD: f32 = {threshold:.4};");
    let _ = writeln!(text, "pub(super) const BIAS: f32 = {:.4};", model[model.len() - 1]);
    text.push_str("#[rustfmt::skip]\npub(super) const WEIGHTS: &[f32] = &[\n");
    let (plain, crosses) = model[..model.len() - 1].split_at(names.len());
    for (name, weight) in names.iter().zip(plain) {
        let _ = writeln!(text, "    {weight:.4}, // {name}");
    }
    for row in crosses.chunks(10) {
        let row: Vec<String> = row.iter().map(|weight| format!("{weight:.3},")).collect();
        let _ = writeln!(text, "    {}", row.join(" "));
    }
    text.push_str("];\n");
    std::fs::write(output, text).expect("the file of --train");
}
