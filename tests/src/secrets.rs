//! The secrets that the vault and the keychain of a test hold: made up anew from a seed, of every shape that matters
//! to an encoder (quotes, backslashes, line breaks, other scripts, few characters and many).

/// One secret: where it is kept and what it is.
#[derive(Clone)]
pub struct Secret {
    /// Its place below `ai-protected/`, or its name in the keychain. The last part is unique.
    pub path: String,
    pub field: &'static str,
    pub value: String,
}

impl Secret {
    /// The part of its name that every placeholder for it carries.
    pub fn mark(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A small generator of repeatable noise (SplitMix64): a failing test fails again.
pub struct Noise(pub u64);

impl Noise {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn string(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.word() as usize % letters.len()]).collect()
    }
}

pub const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";

/// `count` secrets named `<prefix>-00` and on, nested to several depths when `nested`.
pub fn some(prefix: &str, count: usize, seed: u64, nested: bool) -> Vec<Secret> {
    let mut noise = Noise(seed);
    let folders = ["", "", "db/", "teams/payments/", "teams/search/live/"];
    (0..count)
        .map(|i| {
            let folder = if nested { folders[i % folders.len()] } else { "" };
            Secret {
                path: format!("{folder}{prefix}-{i:02}"),
                field: ["value", "password", "api_key"][i % 3],
                value: value(&mut noise, i),
            }
        })
        .collect()
}

fn value(noise: &mut Noise, shape: usize) -> String {
    match shape % 10 {
        0 => noise.string(ALNUM, 24),
        1 => noise.string(&format!("{ALNUM}+/"), 40),
        2 => format!("q\"{}\\{}'/", noise.string(ALNUM, 9), noise.string(ALNUM, 8)),
        3 => format!("sk-live-{}", noise.string(ALNUM, 32)),
        4 => {
            let mut part = |n| noise.string(HEX, n);
            format!("{}-{}-{}-{}-{}", part(8), part(4), part(4), part(4), part(12))
        }
        5 => noise.string(HEX, 64),
        6 => format!("Schlüssel-{}-ñandú-鍵", noise.string(ALNUM, 12)),
        7 => format!(
            "postgres://svc:{}@db.internal.example:5432/ledger?sslmode=require",
            noise.string(ALNUM, 18)
        ),
        8 => format!("line one {}\nline two {}\n\tend", noise.string(ALNUM, 20), noise.string(ALNUM, 20)),
        _ => format!("{}!7{}", noise.string(ALNUM, 5), noise.string(ALNUM, 5)),
    }
}
