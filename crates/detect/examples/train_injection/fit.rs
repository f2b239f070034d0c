//! Learning: logistic regression on the most suspicious window of each text, one text at a time.

use std::ops::Range;

use sallyport_detect::injection::features::{self, BUCKETS, Sink};
use sallyport_detect::injection::model::{
    BLOCK, LEAST_FEATURES, LEAST_PAIRS, LEAST_STRUCTURE, SCALES, for_each_pair, windows,
};

use crate::corpus::Sample;
use crate::grammar::Dice;

/// A text as its features.
pub(crate) struct Document {
    features: Vec<u32>,
    structure: Vec<u32>,
    blocks: Vec<Block>,
    attack: bool,
    weight: f32,
    place: Option<Range<usize>>,
}

struct Block {
    features: Range<usize>,
    structure: Range<usize>,
    span: Range<usize>,
    classes: u32,
}

struct Collecting {
    document: Document,
    words: usize,
    from: (usize, usize),
    span: Range<usize>,
    classes: u32,
}

impl Sink for Collecting {
    fn feature(&mut self, bucket: u32) {
        self.document.features.push(bucket);
    }

    fn structure(&mut self, bucket: u32) {
        self.document.structure.push(bucket);
    }

    fn meaning(&mut self, bucket: u32) {
        self.structure(bucket);
    }

    fn word(&mut self, span: Range<usize>, classes: u32) {
        if self.words == 0 {
            self.span.start = span.start;
        }
        self.span.end = span.end;
        self.classes |= classes;
        self.words += 1;
        if self.words == BLOCK {
            self.close();
        }
    }
}

impl Collecting {
    fn close(&mut self) {
        let end = (self.document.features.len(), self.document.structure.len());
        if self.words > 0 {
            let block = Block {
                features: self.from.0..end.0,
                structure: self.from.1..end.1,
                span: self.span.clone(),
                classes: self.classes,
            };
            self.document.blocks.push(block);
            self.from = end;
        }
        self.words = 0;
        self.classes = 0;
    }
}

impl Document {
    pub(crate) fn of(sample: &Sample) -> Document {
        let document = Document {
            features: Vec::new(),
            structure: Vec::new(),
            blocks: Vec::new(),
            attack: sample.attack,
            weight: sample.weight,
            place: sample.place.clone(),
        };
        let mut collecting = Collecting { document, words: 0, from: (0, 0), span: 0..0, classes: 0 };
        features::walk(&sample.text, &mut collecting);
        collecting.close();
        collecting.document
    }
}

/// Weights as they are learnt.
#[derive(Clone)]
pub(crate) struct Weights {
    pub(crate) table: Vec<f32>,
    pub(crate) biases: [f32; SCALES.len()],
    squares: Vec<f32>,
    bias_squares: [f32; SCALES.len()],
}

#[derive(Clone)]
struct Seen {
    scale: usize,
    range: Range<usize>,
    score: f32,
}

pub(crate) struct Plan {
    pub(crate) epochs: usize,
    pub(crate) rate: f32,
    pub(crate) decay: f32,
    pub(crate) attack_weight: f32,
    /// Of a hundred features so many are left out, others each time, so that none is leant on alone.
    pub(crate) left_out: u64,
}

impl Weights {
    pub(crate) fn new() -> Weights {
        Weights {
            table: vec![0.0; BUCKETS],
            biases: [-1.0; SCALES.len()],
            squares: vec![1e-6; BUCKETS],
            bias_squares: [1e-2; SCALES.len()],
        }
    }

    pub(crate) fn fit(documents: &[&Document], plan: &Plan, seed: u64) -> Weights {
        let mut weights = Weights::new();
        let mut dice = Dice::new(seed);
        let mut order: Vec<usize> = (0..documents.len()).collect();
        let mut sum: Option<Weights> = None;
        let mut summed = 0.0;
        for epoch in 0..plan.epochs {
            dice.shuffle(&mut order);
            let rate = plan.rate * (1.0 - 0.8 * epoch as f32 / plan.epochs as f32);
            for number in &order {
                let document = documents[*number];
                weights.learn(document, epoch, rate, plan, &mut dice);
            }
            // The mean of the later passes is steadier than the last.
            if 2 * epoch >= plan.epochs {
                summed += 1.0;
                match &mut sum {
                    Some(sum) => sum.add(&weights),
                    None => sum = Some(weights.clone()),
                }
            }
        }
        match sum {
            Some(mut sum) => {
                sum.table.iter_mut().chain(&mut sum.biases).for_each(|value| *value /= summed);
                sum
            }
            None => weights,
        }
    }

    fn add(&mut self, other: &Weights) {
        self.table.iter_mut().zip(&other.table).for_each(|(mine, other)| *mine += other);
        self.biases.iter_mut().zip(&other.biases).for_each(|(mine, other)| *mine += other);
    }

    fn learn(&mut self, document: &Document, epoch: usize, rate: f32, plan: &Plan, dice: &mut Dice) {
        let seen = self.look(document);
        let Some(worst) = highest(&seen, |window| document.allows(&window.range)) else { return };
        let weight = document.weight * if document.attack { plan.attack_weight } else { 1.0 };
        let seed = dice.next();
        self.step(document, worst, weight, rate, plan, seed);
        if !document.attack && epoch < 3 && seen.len() > 1 {
            let other = &seen[dice.below(seen.len())];
            let seed = dice.next();
            self.step(document, other, weight, rate, plan, seed);
        }
    }

    /// Every window with its score.
    fn look(&self, document: &Document) -> Vec<Seen> {
        let sum = |buckets: &[u32]| buckets.iter().map(|bucket| self.table[*bucket as usize]).sum::<f32>();
        let sums: Vec<(f32, f32)> = document
            .blocks
            .iter()
            .map(|block| {
                let structure = &document.structure[block.structure.clone()];
                (sum(&document.features[block.features.clone()]), sum(structure))
            })
            .collect();
        let mut seen = Vec::new();
        for (scale, range) in windows(document.blocks.len()) {
            let (words, structure) =
                sums[range.clone()].iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
            let (count, structures, classes) = document.counts(&range);
            let (mut pairs, mut pair_sum) = (0, 0.0);
            for_each_pair(classes, |bucket| {
                pair_sum += self.table[bucket as usize];
                pairs += 1;
            });
            let score = self.biases[scale]
                + words / root(count, LEAST_FEATURES)
                + structure / root(structures, LEAST_STRUCTURE)
                + pair_sum / root(pairs, LEAST_PAIRS);
            seen.push(Seen { scale, range, score });
        }
        seen
    }

    /// The highest score of any window.
    pub(crate) fn score(&self, document: &Document) -> f32 {
        highest(&self.look(document), |_| true).map_or(-20.0, |window| window.score)
    }

    /// Where the most suspicious window stands.
    pub(crate) fn worst(&self, document: &Document) -> Option<Range<usize>> {
        let seen = self.look(document);
        let range = highest(&seen, |_| true)?.range.clone();
        Some(document.blocks[range.start].span.start..document.blocks[range.end - 1].span.end)
    }

    fn step(&mut self, document: &Document, window: &Seen, weight: f32, rate: f32, plan: &Plan, seed: u64) {
        let kept = |bucket: u32| {
            let mixed = (u64::from(bucket) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed >> 40) % 100 >= plan.left_out
        };
        let (first, last) = (&document.blocks[window.range.start], &document.blocks[window.range.end - 1]);
        let features = &document.features[first.features.start..last.features.end];
        let structure = &document.structure[first.structure.start..last.structure.end];
        let share = 100.0 / (100 - plan.left_out) as f32;
        let sum = |buckets: &[u32]| {
            buckets.iter().filter(|b| kept(**b)).map(|b| self.table[*b as usize]).sum::<f32>() * share
        };
        let (count, structures, classes) = document.counts(&window.range);
        let mut pairs = Vec::new();
        for_each_pair(classes, |bucket| pairs.push(bucket));
        let near = pairs.len() as u32;
        let score = self.biases[window.scale]
            + sum(features) / root(count, LEAST_FEATURES)
            + sum(structure) / root(structures, LEAST_STRUCTURE)
            + sum(&pairs) / root(near, LEAST_PAIRS);
        let truth = f32::from(u8::from(document.attack));
        let error = weight * (1.0 / (1.0 + (-score).exp()) - truth);
        if error.abs() < 1e-4 {
            return;
        }
        let each = error / root(count, LEAST_FEATURES);
        for bucket in features.iter().filter(|bucket| kept(**bucket)) {
            self.move_one(*bucket, each, rate, plan.decay);
        }
        let each = error / root(structures, LEAST_STRUCTURE);
        for bucket in structure.iter().filter(|bucket| kept(**bucket)) {
            self.move_one(*bucket, each, rate, plan.decay);
        }
        let each = error / root(near, LEAST_PAIRS);
        for bucket in pairs.iter().filter(|bucket| kept(**bucket)) {
            self.move_one(*bucket, each, rate, plan.decay);
        }
        let square = &mut self.bias_squares[window.scale];
        *square += error * error;
        self.biases[window.scale] -= rate * error / square.sqrt();
    }

    fn move_one(&mut self, bucket: u32, gradient: f32, rate: f32, decay: f32) {
        let at = bucket as usize;
        self.squares[at] += gradient * gradient;
        let weight = self.table[at] * (1.0 - rate * decay);
        self.table[at] = weight - rate * gradient / self.squares[at].sqrt();
    }

    /// Rounded to a signed byte each: the step, the biases, the bytes.
    pub(crate) fn quantised(&self) -> Vec<u8> {
        let mut sizes: Vec<f32> =
            self.table.iter().map(|weight| weight.abs()).filter(|size| *size > 0.0).collect();
        sizes.sort_by(f32::total_cmp);
        // The few largest are cut off, so that the many small ones keep their differences.
        let largest = sizes.get(sizes.len().saturating_sub(sizes.len() / 2000 + 1)).copied().unwrap_or(1.0);
        let step = largest / 127.0;
        let mut bytes = step.to_le_bytes().to_vec();
        self.biases.iter().for_each(|bias| bytes.extend(bias.to_le_bytes()));
        bytes
            .extend(self.table.iter().map(|weight| (weight / step).round().clamp(-127.0, 127.0) as i8 as u8));
        bytes
    }

    /// The weights as they are after rounding.
    pub(crate) fn rounded(&self) -> Weights {
        let bytes = self.quantised();
        let step = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let table =
            bytes[4 * (1 + SCALES.len())..].iter().map(|byte| f32::from(*byte as i8) * step).collect();
        Weights { table, ..self.clone() }
    }
}

impl Document {
    /// Features of words, features of sentences, and the classes of words in a window.
    fn counts(&self, range: &Range<usize>) -> (u32, u32, u32) {
        self.blocks[range.clone()].iter().fold((0, 0, 0), |sum, block| {
            (sum.0 + block.features.len() as u32, sum.1 + block.structure.len() as u32, sum.2 | block.classes)
        })
    }

    /// Whether an attack can be learnt from this window: it must hold a good part of it.
    fn allows(&self, range: &Range<usize>) -> bool {
        let Some(place) = &self.place else { return true };
        let (first, last) = (&self.blocks[range.start], &self.blocks[range.end - 1]);
        let shared = last.span.end.min(place.end).saturating_sub(first.span.start.max(place.start));
        let smaller = place.len().min(last.span.end - first.span.start);
        shared * 2 >= smaller
    }
}

fn highest(seen: &[Seen], allowed: impl Fn(&Seen) -> bool) -> Option<&Seen> {
    seen.iter().filter(|window| allowed(window)).max_by(|a, b| a.score.total_cmp(&b.score))
}

fn root(count: u32, least: u32) -> f32 {
    (count.max(least) as f32).sqrt()
}
