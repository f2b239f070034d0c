//! Keys of wallets: numbers in base 58 with their checksum, and the words that people write down instead.

use sha2::{Digest, Sha256};

use super::fixture::in_fixture;
use super::validators::Validator;

pub(super) const ALL: &[(&str, Validator)] = &[
    ("base58check", |seen| base58check(seen.value()) && !in_fixture(seen)),
    ("mnemonic", |seen| mnemonic(seen.value()) && !in_fixture(seen)),
];

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The last four bytes are the first of the others' hash, hashed twice:
/// <https://github.com/bitcoin/bips/blob/master/bip-0032.mediawiki>, and Tezos' `edsk`.
fn base58check(value: &str) -> bool {
    let Some(bytes) = base58(value) else { return false };
    let Some((body, sum)) = bytes.split_last_chunk::<4>() else { return false };
    Sha256::digest(Sha256::digest(body)).starts_with(sum)
}

/// The bytes that a number in base 58 stands for.
fn base58(value: &str) -> Option<Vec<u8>> {
    const LONGEST: usize = 128;
    let zeros = value.bytes().take_while(|byte| *byte == b'1').count();
    // The lowest byte first.
    let mut bytes: Vec<u8> = Vec::new();
    for symbol in value.bytes().take(LONGEST) {
        let mut carry = ALPHABET.iter().position(|known| *known == symbol)? as u32;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    bytes.resize(bytes.len() + zeros, 0);
    bytes.reverse();
    Some(bytes)
}

/// The 2,048 English words of BIP 39, sorted; its list is under the MIT licence.
const WORDS: &str = include_str!("mnemonic_words.txt");

/// 12 to 24 words that stand for eleven bits each, the last of which are a hash of the others:
/// <https://github.com/bitcoin/bips/blob/master/bip-0039.mediawiki>.
fn mnemonic(value: &str) -> bool {
    let known: Vec<&str> = WORDS.lines().collect();
    let numbers: Option<Vec<usize>> =
        value.split_ascii_whitespace().map(|word| known.binary_search(&word).ok()).collect();
    let Some(numbers) = numbers.filter(|numbers| [12, 15, 18, 21, 24].contains(&numbers.len())) else {
        return false;
    };
    let bits: Vec<bool> =
        numbers.iter().flat_map(|number| (0..11).rev().map(move |bit| number >> bit & 1 == 1)).collect();
    let (body, sum) = bits.split_at(bits.len() / 33 * 32);
    let bytes: Vec<u8> =
        body.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect();
    // Eight bits of it at most.
    let hash = Sha256::digest(&bytes).first().copied().unwrap_or_default();
    let expected = (0..sum.len()).map(|at| hash >> (7 - at) & 1 == 1);
    // `test test … junk` opens a wallet that everyone has.
    let mut different = numbers;
    different.sort_unstable();
    different.dedup();
    different.len() >= 8 && sum.iter().copied().eq(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's base58: keys of BIP 32 and of single addresses, of Tezos with 32 and 64 bytes.
    const RIGHT: &[&str] = &[
        "xprv9s21ZrQH143K4N3fesxE8rCiUwfdhGog1jQ7z76BhLtL3QDxh62PJfhNx4qbwKZ1GtgK9No4NFtiBPDAYFnz4mQ8m9ZhS63kD7kwTUDMTpC",
        "tprv8ZgxMBicQKsPeziVWndk2Evvgmx4oL7GoiuXMzQxn2GxCwQm5wc9HayMbLoYZYFkPZ2ZxZnopDEoVKzwr5xYw41d5buLh7Gwp5aPVGeUXoF",
        "5KBGBnFVXBgdtxudXyqSf4kDBT1iDic1NLzcjKmhbfNAiGmTpko",
        "L5CBnXjSERp8SABjodbogiD4kHnYv5xxJ5NyrsvKtuqn8ztCheDC",
        "edsk3QoqBuvdamxouPhin7swCvkQNgq4jP5KZPbwWNnwdZpSpJiEbq",
        "edsk3ye23HFtcikkkBkJaixwakRQNqPbZTLvRkwXizDQfB4jzJg6d1",
        "edskRpiTJkGoLJRzMbSetkQn7mKYm17pGR7svQa5oXYXPZ57imjWERA4QDWxwmv2TrEV7uE7CmEqiQ7GepNkKqTECYrWdnmnW3",
    ];

    #[test]
    fn a_number_in_base_58_is_checked() {
        for value in RIGHT {
            assert!(base58check(value), "{value}");
            for at in 0..value.len() {
                let mut changed = value.as_bytes().to_vec();
                let place = ALPHABET.iter().position(|symbol| *symbol == changed[at]).unwrap();
                changed[at] = ALPHABET[(place + 1) % ALPHABET.len()];
                let changed = String::from_utf8(changed).unwrap();
                assert!(!base58check(&changed), "{changed}");
            }
        }
        assert!(!base58check("") && !base58check("1") && !base58check("0OIl"));
        assert!(base58check("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), "zeros lead");
    }

    /// Made by Trezor's own program.
    const PHRASES: &[&str] = &[
        "insect ozone gather useful transfer you bag grit turtle number minute chaos",
        "neglect rice copper arrive dish puppy major focus pave banana web defense easy oval you",
        "horse any repair blush immune alone find circle pepper junior morning vacuum eight scorpion dolphin board garlic echo",
        "tourist advance boil arrange length keen wall solar guard horse math start maid chimney kitten tunnel able own between proud faint journey regular fury",
    ];

    #[test]
    fn words_carry_their_own_hash() {
        for phrase in PHRASES {
            assert!(mnemonic(phrase), "{phrase}");
            assert!(!mnemonic(&phrase.replacen(' ', " no ", 1)), "not a word of the list");
            assert!(!mnemonic(phrase.rsplit_once(' ').unwrap().0), "a word too few");
        }
        // One word exchanged for each other: of twelve words one in sixteen passes, of 24 one in 256.
        for (phrase, most) in [(PHRASES[0], 190), (PHRASES[3], 24)] {
            let (_, rest) = phrase.split_once(' ').unwrap();
            let passed = WORDS.lines().filter(|word| mnemonic(&format!("{word} {rest}"))).count();
            assert!((1..=most).contains(&passed), "{passed}");
        }
        assert!(!mnemonic("test test test test test test test test test test test junk"));
        assert_eq!(WORDS.lines().count(), 2048);
        assert!(WORDS.lines().is_sorted());
    }
}
