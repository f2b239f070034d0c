//! The classifier: a table of weights for hashed features, summed over windows of a text.
//!
//! A text is as suspicious as its most suspicious window. Windows come in several sizes, since an attack is a sentence in
//! one text and a page in another. Pure; the weights are part of the program.

use std::ops::Range;

use super::features::{self, BUCKETS, Sink};

/// Words in a block, the step of every window.
pub const BLOCK: usize = 12;
/// Windows, in blocks, each with the blocks from one to the next.
pub const SCALES: [(usize, usize); 3] = [(2, 1), (5, 1), (16, 4)];
/// A sentence of so many words is also heard by itself: among innocent words a short order would not be.
const SENTENCE: Range<usize> = 7..24;
/// So much more is asked of a sentence by itself, since there are many of them.
const ALONE: f32 = 1.25;
/// A short window counts as if it had this many features, so that two odd words don't make an attack.
pub const LEAST_FEATURES: u32 = 60;
/// The same for what sentences are made of.
pub const LEAST_STRUCTURE: u32 = 20;
/// And for pairs of classes in a window.
pub const LEAST_PAIRS: u32 = 6;

/// One lane's weights, as they lie in the program.
pub struct Model {
    weights: &'static [u8],
    /// What one step of a weight is worth.
    step: f32,
    biases: [f32; SCALES.len()],
}

/// A stretch of text and how much it looks like an attack: a log-odds.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub span: Range<usize>,
    pub score: f32,
}

/// Words together, as windows are made of them.
#[derive(Debug, Clone, Default)]
struct Block {
    span: Range<usize>,
    sum: i32,
    features: u32,
    structure_sum: i32,
    structure: u32,
    classes: u32,
}

struct Summing<'m> {
    weights: &'m [u8],
    blocks: Vec<Block>,
    words: usize,
    block: Block,
    /// The sentence that is being read, how many words it has, and the word that is being read.
    sentence: Block,
    sentence_words: usize,
    word: (i32, u32),
    sentences: Vec<Block>,
}

impl Sink for Summing<'_> {
    #[inline]
    fn feature(&mut self, bucket: u32) {
        self.word.0 += weight(self.weights, bucket);
        self.word.1 += 1;
    }

    #[inline]
    fn structure(&mut self, bucket: u32) {
        let weight = weight(self.weights, bucket);
        for block in [&mut self.block, &mut self.sentence] {
            block.structure_sum += weight;
            block.structure += 1;
        }
    }

    #[inline]
    fn sentence(&mut self) {
        let sentence = std::mem::take(&mut self.sentence);
        if SENTENCE.contains(&self.sentence_words) {
            self.sentences.push(sentence);
        }
        self.sentence_words = 0;
    }

    /// What words mean is weighed with what sentences are made of.
    #[inline]
    fn meaning(&mut self, bucket: u32) {
        self.structure(bucket);
    }

    #[inline]
    fn word(&mut self, span: Range<usize>, classes: u32) {
        let (sum, features) = std::mem::take(&mut self.word);
        for (block, words) in
            [(&mut self.block, &mut self.words), (&mut self.sentence, &mut self.sentence_words)]
        {
            if *words == 0 {
                block.span.start = span.start;
            }
            block.span.end = span.end;
            block.classes |= classes;
            block.sum += sum;
            block.features += features;
            *words += 1;
        }
        if self.words == BLOCK {
            self.close();
        }
    }
}

impl Summing<'_> {
    fn close(&mut self) {
        if self.words > 0 {
            self.blocks.push(std::mem::take(&mut self.block));
            self.words = 0;
        }
    }
}

#[inline]
fn weight(weights: &[u8], bucket: u32) -> i32 {
    weights.get(bucket as usize).map_or(0, |byte| i32::from(byte.cast_signed()))
}

/// The places of all windows over `blocks` blocks: scale and range.
pub fn windows(blocks: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    SCALES.iter().enumerate().flat_map(move |(scale, (length, step))| {
        // A text that one smaller window covers has been seen.
        let covered = scale > 0 && SCALES.get(scale - 1).is_some_and(|(smaller, _)| blocks <= *smaller);
        let last = blocks.saturating_sub(*length).div_ceil(*step);
        let count = if covered || blocks == 0 { 0 } else { last + 1 };
        (0..count).map(move |number| {
            let start = (number * step).min(blocks.saturating_sub(*length));
            (scale, start..(start + length).min(blocks))
        })
    })
}

impl Model {
    /// `bytes`: the step and the biases as little-endian floats, then a signed byte for each bucket.
    pub fn read(bytes: &'static [u8]) -> Option<Model> {
        let (head, weights) = bytes.split_at_checked(4 * (1 + SCALES.len()))?;
        let mut floats = head.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
        let step = floats.next()?;
        let mut biases = [0.0; SCALES.len()];
        for bias in &mut biases {
            *bias = floats.next()?;
        }
        (weights.len() == BUCKETS).then_some(Model { weights, step, biases })
    }

    /// Every window of `text` that scores `least` or more, in the order of scales, then of the text.
    pub fn windows_above(&self, text: &str, least: f32) -> Vec<Window> {
        let mut summing = Summing {
            weights: self.weights,
            blocks: Vec::new(),
            words: 0,
            block: Block::default(),
            sentence: Block::default(),
            sentence_words: 0,
            word: (0, 0),
            sentences: Vec::new(),
        };
        features::walk(text, &mut summing);
        summing.close();
        let blocks = summing.blocks;
        let mut found = Vec::new();
        for sentence in &summing.sentences {
            let score = self.score(0, std::slice::from_ref(sentence)) - ALONE;
            if score >= least {
                found.push(Window { span: sentence.span.clone(), score });
            }
        }
        for (scale, range) in windows(blocks.len()) {
            let Some(inside) = blocks.get(range) else { continue };
            let score = self.score(scale, inside);
            if score >= least
                && let (Some(first), Some(last)) = (inside.first(), inside.last())
            {
                found.push(Window { span: first.span.start..last.span.end, score });
            }
        }
        found
    }

    /// The highest score of any window; none where there is no word.
    pub fn highest(&self, text: &str) -> Option<f32> {
        self.windows_above(text, f32::MIN).into_iter().map(|window| window.score).max_by(f32::total_cmp)
    }

    fn score(&self, scale: usize, blocks: &[Block]) -> f32 {
        let (mut sum, mut features, mut structure_sum, mut structure, mut classes) = (0, 0, 0, 0, 0);
        for block in blocks {
            sum += block.sum;
            features += block.features;
            structure_sum += block.structure_sum;
            structure += block.structure;
            classes |= block.classes;
        }
        let (mut pairs, mut pair_sum) = (0, 0);
        for_each_pair(classes, |bucket| {
            pair_sum += weight(self.weights, bucket);
            pairs += 1;
        });
        let bias = self.biases.get(scale).copied().unwrap_or_default();
        bias + self.step
            * (normalised(sum, features, LEAST_FEATURES)
                + normalised(structure_sum, structure, LEAST_STRUCTURE)
                + normalised(pair_sum, pairs, LEAST_PAIRS))
    }
}

/// A sum of weights by the square root of their number.
pub fn normalised(sum: i32, count: u32, least: u32) -> f32 {
    sum as f32 / (count.max(least) as f32).sqrt()
}

/// The feature of each two classes (and each one by itself) that stand in a window.
pub fn for_each_pair(classes: u32, mut each: impl FnMut(u32)) {
    let mut rest = classes;
    while rest != 0 {
        let first = rest.trailing_zeros();
        let mut others = rest;
        while others != 0 {
            let second = others.trailing_zeros();
            each(features::near(first, second));
            others &= others - 1;
        }
        rest &= rest - 1;
    }
}
