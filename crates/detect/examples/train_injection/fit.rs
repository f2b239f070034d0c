//! Learning: logistic regression on the most suspicious window of each text, one text at a time.

use std::ops::Range;

use sallyport_detect::injection::features::{self, BITS, Sink};
use sallyport_detect::injection::model::{
    BLOCK, LEAST_FEATURES, LEAST_PAIRS, LEAST_STRUCTURE, SIZES, for_each_pair, sentence_sizes, windows,
};

use crate::corpus::Sample;
use crate::grammar::Dice;

/// A text that is right by so much learns nothing and is asked at every second pass only.
const EASY: f32 = 5.0;

/// A text as its features.
pub(crate) struct Document {
    features: Vec<u32>,
    structure: Vec<u32>,
    blocks: Vec<Block>,
    /// What is heard of sentences: the size and the stretch.
    sentences: Vec<(usize, Block)>,
    attack: bool,
    weight: f32,
    place: Option<Range<usize>>,
}

#[derive(Clone, Default)]
struct Block {
    features: Range<usize>,
    structure: Range<usize>,
    span: Range<usize>,
    classes: u32,
}

/// A stretch that is being read.
#[derive(Default)]
struct Reading {
    block: Block,
    words: usize,
}

impl Reading {
    fn word(&mut self, span: &Range<usize>, classes: u32) {
        if self.words == 0 {
            self.block.span.start = span.start;
        }
        self.block.span.end = span.end;
        self.block.classes |= classes;
        self.words += 1;
    }

    /// What was read, and the next stretch from there on.
    fn close(&mut self, features: usize, structure: usize) -> (Block, usize) {
        self.block.features.end = features;
        self.block.structure.end = structure;
        let next = Block { features: features..0, structure: structure..0, ..Block::default() };
        (std::mem::replace(&mut self.block, next), std::mem::take(&mut self.words))
    }
}

struct Collecting {
    document: Document,
    block: Reading,
    sentence: Reading,
    /// The sentence before, and its words.
    before: (Block, usize),
    /// The features of all words that have ended.
    ended: usize,
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

    fn sentence(&mut self) {
        let (sentence, words) = self.sentence.close(self.ended, self.document.structure.len());
        let (before, words_before) = &self.before;
        let (alone, together) = sentence_sizes(*words_before, words);
        let heard = &mut self.document.sentences;
        heard.extend(together.map(|size| (size, joined(&[before.clone(), sentence.clone()]))));
        heard.extend(alone.map(|size| (size, sentence.clone())));
        self.before = (sentence, words);
    }

    fn word(&mut self, span: Range<usize>, classes: u32) {
        self.ended = self.document.features.len();
        self.block.word(&span, classes);
        self.sentence.word(&span, classes);
        if self.block.words == BLOCK {
            self.close();
        }
    }
}

impl Collecting {
    fn close(&mut self) {
        if self.block.words > 0 {
            let (block, _) = self.block.close(self.ended, self.document.structure.len());
            self.document.blocks.push(block);
        }
    }
}

impl Document {
    pub(crate) fn of(sample: &Sample) -> Document {
        let document = Document {
            features: Vec::new(),
            structure: Vec::new(),
            blocks: Vec::new(),
            sentences: Vec::new(),
            attack: sample.attack,
            weight: sample.weight,
            place: sample.place.clone(),
        };
        let mut collecting = Collecting {
            document,
            block: Reading::default(),
            sentence: Reading::default(),
            before: (Block::default(), 0),
            ended: 0,
        };
        features::walk(&sample.text, &mut collecting);
        collecting.close();
        collecting.document
    }
}

/// Weights as they are learnt.
#[derive(Clone)]
pub(crate) struct Weights {
    pub(crate) table: Vec<f32>,
    pub(crate) biases: [f32; SIZES],
    /// How many bits of a bucket the table leaves out.
    shift: u32,
    squares: Vec<f32>,
    bias_squares: [f32; SIZES],
}

/// What was scored: a window or a sentence by itself.
struct Seen {
    size: usize,
    block: Block,
    score: f32,
}

pub(crate) struct Plan {
    /// Of the table's places.
    pub(crate) bits: u32,
    pub(crate) epochs: usize,
    pub(crate) rate: f32,
    pub(crate) decay: f32,
    pub(crate) attack_weight: f32,
    /// Of a hundred features so many are left out, others each time, so that none is leant on alone.
    pub(crate) left_out: u64,
}

impl Weights {
    pub(crate) fn new(bits: u32) -> Weights {
        Weights {
            table: vec![0.0; 1 << bits],
            shift: BITS - bits,
            biases: [-1.0; SIZES],
            squares: vec![1e-6; 1 << bits],
            bias_squares: [1e-2; SIZES],
        }
    }

    pub(crate) fn fit(documents: &[&Document], plan: &Plan, seed: u64) -> Weights {
        let mut weights = Weights::new(plan.bits);
        let mut dice = Dice::new(seed);
        let mut order: Vec<usize> = (0..documents.len()).collect();
        let mut resting = vec![false; documents.len()];
        let mut sum: Option<Weights> = None;
        let mut summed = 0.0;
        for epoch in 0..plan.epochs {
            dice.shuffle(&mut order);
            let rate = plan.rate * (1.0 - 0.8 * epoch as f32 / plan.epochs as f32);
            for number in &order {
                if !std::mem::take(&mut resting[*number]) {
                    resting[*number] = weights.learn(documents[*number], epoch, rate, plan, &mut dice);
                }
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

    fn weight(&self, bucket: u32) -> f32 {
        self.table[(bucket >> self.shift) as usize]
    }

    fn add(&mut self, other: &Weights) {
        self.table.iter_mut().zip(&other.table).for_each(|(mine, other)| *mine += other);
        self.biases.iter_mut().zip(&other.biases).for_each(|(mine, other)| *mine += other);
    }

    /// Learns from one text. Gives whether it was so easy that it may rest for a pass.
    fn learn(&mut self, document: &Document, epoch: usize, rate: f32, plan: &Plan, dice: &mut Dice) -> bool {
        let seen = self.look(document);
        let Some(worst) = highest(&seen, |seen| document.allows(&seen.block)) else { return true };
        let weight = document.weight * if document.attack { plan.attack_weight } else { 1.0 };
        let seed = dice.next();
        self.step(document, worst, weight, rate, plan, seed);
        if !document.attack && epoch < 3 && seen.len() > 1 {
            let other = &seen[dice.below(seen.len())];
            let seed = dice.next();
            self.step(document, other, weight, rate, plan, seed);
        }
        if document.attack { worst.score > EASY } else { worst.score < -EASY }
    }

    /// Everything that is scored of a text, with its score.
    fn look(&self, document: &Document) -> Vec<Seen> {
        let sums = |buckets: &[u32]| {
            let mut sum = 0.0;
            let mut sums = Vec::with_capacity(buckets.len() + 1);
            sums.push(sum);
            sums.extend(buckets.iter().map(|bucket| {
                sum += self.weight(*bucket);
                sum
            }));
            sums
        };
        let (words, structure) = (sums(&document.features), sums(&document.structure));
        let between = |sums: &[f32], range: &Range<usize>| sums[range.end] - sums[range.start];
        let windows =
            windows(document.blocks.len()).map(|(size, range)| (size, joined(&document.blocks[range])));
        windows
            .chain(document.sentences.iter().cloned())
            .map(|(size, block)| {
                let (mut pairs, mut pair_sum) = (0, 0.0);
                for_each_pair(block.classes, |bucket| {
                    pair_sum += self.weight(bucket);
                    pairs += 1;
                });
                let score = self.biases[size]
                    + between(&words, &block.features) / root(block.features.len(), LEAST_FEATURES)
                    + between(&structure, &block.structure) / root(block.structure.len(), LEAST_STRUCTURE)
                    + pair_sum / root(pairs, LEAST_PAIRS);
                Seen { size, block, score }
            })
            .collect()
    }

    /// The highest score of anything in the text.
    pub(crate) fn score(&self, document: &Document) -> f32 {
        highest(&self.look(document), |_| true).map_or(-20.0, |seen| seen.score)
    }

    /// Where the most suspicious stretch stands.
    pub(crate) fn worst(&self, document: &Document) -> Option<Range<usize>> {
        highest(&self.look(document), |_| true).map(|seen| seen.block.span.clone())
    }

    fn step(&mut self, document: &Document, seen: &Seen, weight: f32, rate: f32, plan: &Plan, seed: u64) {
        let kept = |bucket: u32| {
            let mixed = (u64::from(bucket) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed >> 40) % 100 >= plan.left_out
        };
        let features = &document.features[seen.block.features.clone()];
        let structure = &document.structure[seen.block.structure.clone()];
        let share = 100.0 / (100 - plan.left_out) as f32;
        let sum = |buckets: &[u32]| {
            buckets.iter().filter(|b| kept(**b)).map(|b| self.weight(*b)).sum::<f32>() * share
        };
        let mut pairs = Vec::new();
        for_each_pair(seen.block.classes, |bucket| pairs.push(bucket));
        let score = self.biases[seen.size]
            + sum(features) / root(features.len(), LEAST_FEATURES)
            + sum(structure) / root(structure.len(), LEAST_STRUCTURE)
            + sum(&pairs) / root(pairs.len(), LEAST_PAIRS);
        let truth = f32::from(u8::from(document.attack));
        let error = weight * (1.0 / (1.0 + (-score).exp()) - truth);
        if error.abs() < 1e-4 {
            return;
        }
        for (buckets, least) in
            [(features, LEAST_FEATURES), (structure, LEAST_STRUCTURE), (&pairs[..], LEAST_PAIRS)]
        {
            let each = error / root(buckets.len(), least);
            for bucket in buckets.iter().filter(|bucket| kept(**bucket)) {
                self.move_one(*bucket, each, rate, plan.decay);
            }
        }
        let square = &mut self.bias_squares[seen.size];
        *square += error * error;
        self.biases[seen.size] -= rate * error / square.sqrt();
    }

    fn move_one(&mut self, bucket: u32, gradient: f32, rate: f32, decay: f32) {
        let at = (bucket >> self.shift) as usize;
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
        let table = bytes[4 * (1 + SIZES)..].iter().map(|byte| f32::from(*byte as i8) * step).collect();
        Weights { table, ..self.clone() }
    }
}

impl Document {
    /// How many blocks of words it has.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Whether an attack can be learnt from this stretch: it must hold a good part of it.
    fn allows(&self, stretch: &Block) -> bool {
        let Some(place) = &self.place else { return true };
        let shared = stretch.span.end.min(place.end).saturating_sub(stretch.span.start.max(place.start));
        let smaller = place.len().min(stretch.span.len());
        shared * 2 >= smaller
    }
}

/// Neighbours as one.
fn joined(blocks: &[Block]) -> Block {
    let (first, last) = (&blocks[0], &blocks[blocks.len() - 1]);
    Block {
        features: first.features.start..last.features.end,
        structure: first.structure.start..last.structure.end,
        span: first.span.start..last.span.end,
        classes: blocks.iter().fold(0, |classes, block| classes | block.classes),
    }
}

fn highest(seen: &[Seen], allowed: impl Fn(&Seen) -> bool) -> Option<&Seen> {
    seen.iter().filter(|seen| allowed(seen)).max_by(|a, b| a.score.total_cmp(&b.score))
}

fn root(count: usize, least: u32) -> f32 {
    (count.max(least as usize) as f32).sqrt()
}
