//! Check digits of the numbers that states, banks and health services give to people.
//!
//! Each function takes what stands in the text, marks included, and says whether it can be such a
//! number. No lists of names, no lookups; the formulas are the issuers' own.

use super::validators::{Seen, Validator};

pub(super) const ALL: &[(&str, Validator)] = &[
    ("ahv_number", |seen| of(seen, 13, ean13)),
    ("australian_tax_number", |seen| of(seen, 9, |d| weighted(d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 == 0)),
    ("baltic_code", |seen| of(seen, 11, baltic)),
    ("belgian_number", |seen| of(seen, 11, belgian)),
    ("birth_date", |seen| date(seen.value())),
    ("brazilian_cpf", |seen| of(seen, 11, cpf)),
    ("bsn", |seen| of(seen, 9, |d| weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 == 0)),
    ("canadian_sin", |seen| of(seen, 9, |d| luhn(d) && !matches!(d.first(), Some(0 | 8)))),
    ("card_number", |seen| card(seen.value())),
    ("chilean_rut", |seen| rut(seen.value())),
    ("chinese_id", |seen| chinese(seen.value())),
    ("codice_fiscale", |seen| codice_fiscale(seen.value())),
    ("cuit", |seen| of(seen, 11, cuit)),
    ("curp", |seen| curp(seen.value())),
    ("czech_birth_number", |seen| of(seen, 10, czech)),
    ("dea_number", |seen| dea(seen.value())),
    ("dni", |seen| dni(seen.value())),
    ("egn", |seen| of(seen, 10, |d| ends_with(d, weighted(d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10))),
    ("finnish_hetu", |seen| hetu(seen.value())),
    ("french_nir", |seen| nir(seen.value())),
    ("german_tax_id", |seen| of(seen, 11, german_tax_id)),
    ("greek_amka", |seen| of(seen, 11, amka)),
    ("hkid", |seen| hkid(seen.value())),
    ("iban", |seen| iban(seen.value())),
    ("identity_card_zone", |seen| identity_card(seen.value())),
    ("indian_aadhaar", |seen| of(seen, 12, |d| d.first().is_some_and(|first| *first >= 2) && verhoeff(d))),
    ("israeli_id", |seen| of(seen, 9, luhn)),
    ("itin", |seen| {
        matches!(digits(seen.value()).get(3..5).map(number), Some(50..=65 | 70..=88 | 90..=92 | 94..=99))
    }),
    ("japanese_my_number", |seen| of(seen, 12, my_number)),
    ("korean_rrn", |seen| of(seen, 13, korean)),
    ("machine_readable_zone", |seen| machine_readable(seen.value())),
    ("medical_record", |seen| seen.value().bytes().filter(u8::is_ascii_digit).count() >= 4),
    ("nhs_number", |seen| of(seen, 10, nhs)),
    ("norwegian_number", |seen| of(seen, 11, norwegian)),
    ("npi", |seen| of(seen, 10, npi)),
    ("nric", |seen| nric(seen.value())),
    ("oib", |seen| of(seen, 11, iso7064_11_10)),
    ("personnummer", |seen| personnummer(seen.value())),
    ("pesel", |seen| {
        of(seen, 11, |d| {
            weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 == 0 && month_of(d, &[0, 20, 40, 60, 80])
        })
    }),
    ("phone_number", |seen| phone(seen.value())),
    ("portuguese_nif", |seen| {
        of(seen, 9, |d| ends_with(d, 11 - weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11))
    }),
    ("ppsn", |seen| ppsn(seen.value())),
    ("romanian_cnp", |seen| of(seen, 13, romanian)),
    ("russian_snils", |seen| of(seen, 11, snils)),
    ("south_african_id", |seen| of(seen, 13, |d| luhn(d) && month_of(d, &[0]))),
    ("thai_id", |seen| {
        of(seen, 13, |d| {
            ends_with(d, (11 - weighted(d, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10)
        })
    }),
    ("turkish_id", |seen| of(seen, 11, turkish)),
];

/// The digits of a value that has exactly `len` of them, not all the same.
fn of(seen: &Seen<'_>, len: usize, check: impl Fn(&[i64]) -> bool) -> bool {
    let digits = digits(seen.value());
    digits.len() == len && digits.windows(2).any(|pair| pair.first() != pair.last()) && check(&digits)
}

fn digits(value: &str) -> Vec<i64> {
    value.bytes().filter(u8::is_ascii_digit).map(|byte| i64::from(byte - b'0')).collect()
}

fn number(digits: &[i64]) -> i64 {
    digits.iter().fold(0, |number, digit| number * 10 + digit)
}

fn weighted(digits: &[i64], weights: &[i64]) -> i64 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// Whether the last digit is `expected`, where ten and eleven are written as 0.
fn ends_with(digits: &[i64], expected: i64) -> bool {
    digits.last() == Some(&if expected > 9 { 0 } else { expected })
}

/// Whether digits three and four are a month, plus one of the offsets that tell centuries and sexes.
fn month_of(digits: &[i64], offsets: &[i64]) -> bool {
    let month = digits.get(2..4).map_or(0, number);
    let day = digits.get(4..6).map_or(0, number);
    let day = if day > 40 { day - 40 } else { day };
    offsets.iter().any(|offset| (1..=12).contains(&(month - offset))) && (1..=31).contains(&day)
}

fn luhn(digits: &[i64]) -> bool {
    let sum: i64 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum % 10 == 0
}

/// A card of an issuer's range and length: Visa, Mastercard, Amex, Discover, JCB, Diners, UnionPay, Maestro.
fn card(value: &str) -> bool {
    let digits = digits(value);
    let head = |len: usize| digits.get(..len).map_or(0, number);
    let issued = match digits.len() {
        13 | 19 if head(1) == 4 => true,
        14 => matches!(head(2), 36 | 38 | 39) || (300..=305).contains(&head(3)),
        15 => matches!(head(2), 34 | 37),
        16 => {
            head(1) == 4
                || (51..=55).contains(&head(2))
                || (2221..=2720).contains(&head(4))
                || head(4) == 6011
                || head(2) == 65
                || (644..=649).contains(&head(3))
                || (3528..=3589).contains(&head(4))
                || head(2) == 62
                || head(2) == 81
                || matches!(head(4), 5018 | 5020 | 5038 | 6304 | 6759 | 6761 | 6763)
        }
        17..=19 => head(2) == 62 || matches!(head(4), 5018 | 5020 | 5038 | 6304 | 6759 | 6761 | 6763),
        _ => false,
    };
    // Those that payment services print for trying things out count too: the sum is all that tells a card from a number, and
    // an entry of the allowlist takes one out.
    issued && luhn(&digits) && digits.iter().any(|digit| Some(digit) != digits.first())
}

/// Lengths by country, from the registry that SWIFT keeps.
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

fn iban(value: &str) -> bool {
    let compact: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    let Some((country, _)) = compact.split_at_checked(2) else { return false };
    let length = IBAN_LENGTHS.iter().find(|(known, _)| *known == country).map(|(_, length)| *length);
    let Some((head, rest)) = compact.split_at_checked(4) else { return false };
    length == Some(compact.len()) && remainder_97(&format!("{rest}{head}")) == Some(1)
}

/// Letters count as two digits, A is 10.
fn remainder_97(text: &str) -> Option<u32> {
    text.chars().try_fold(0u32, |rest, c| {
        let value = c.to_digit(36)?;
        let shift = if value > 9 { 100 } else { 10 };
        Some((rest * shift + value) % 97)
    })
}

/// `2031-07-15`, `15.07.1984`, `07/15/1984`, `15 July 1984`: a day on which someone alive may be born.
fn date(value: &str) -> bool {
    let parts: Vec<&str> =
        value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty()).collect();
    let [a, b, c] = parts.as_slice() else { return false };
    let month = |text: &str| {
        let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let lower = text.to_ascii_lowercase();
        months.iter().position(|name| lower.starts_with(name)).map(|at| at as i64 + 1).or(text.parse().ok())
    };
    let (year, others) =
        if a.len() == 4 && a.bytes().all(|byte| byte.is_ascii_digit()) { (a, [b, c]) } else { (c, [a, b]) };
    let year: i64 = match year.parse() {
        Ok(year) if (1900..=2100).contains(&year) => year,
        Ok(year) if (0..100).contains(&year) => 1900 + year,
        _ => return false,
    };
    let [x, y] = others.map(|part| month(part).unwrap_or(0));
    let valid = |month: i64, day: i64| (1..=12).contains(&month) && (1..=31).contains(&day);
    year > 1900 && (valid(x, y) || valid(y, x))
}

/// Eight to fifteen digits that are not a date, a version or one digit over and over.
fn phone(value: &str) -> bool {
    let digits = digits(value);
    let international = value.trim_start().starts_with('+');
    let fits =
        if international { (8..=15).contains(&digits.len()) } else { (9..=11).contains(&digits.len()) };
    let bare: String = value.chars().filter(char::is_ascii_digit).collect();
    // Numbers that the North American plan keeps for stories.
    let fictional = bare.len() >= 10 && bare.get(bare.len() - 7..bare.len() - 2) == Some("55501");
    fits && crate::shape::distinct(&bare) >= 4
        && !crate::shape::is_sequence(&bare)
        && !fictional
        && !value.split(' ').any(date)
}

fn cpf(digits: &[i64]) -> bool {
    let check = |len: usize| {
        let sum: i64 = digits.iter().take(len).zip((2..=len as i64 + 1).rev()).map(|(d, w)| d * w).sum();
        (sum * 10 % 11 % 10) == digits.get(len).copied().unwrap_or(-1)
    };
    check(9) && check(10)
}

/// Before 1985 a remainder of ten was written as 0.
fn czech(digits: &[i64]) -> bool {
    let head = digits.get(..9).map_or(0, number);
    let old = head % 11 == 10 && digits.last() == Some(&0);
    (number(digits) % 11 == 0 || old) && month_of(digits, &[0, 20, 50, 70])
}

/// Sex and century, birth, the county, a serial number; a remainder of ten is written as 1.
fn romanian(digits: &[i64]) -> bool {
    let rest = weighted(digits, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let county = digits.get(7..9).map_or(0, number);
    digits.last() == Some(&if rest == 10 { 1 } else { rest })
        && matches!(county, 1..=48 | 51 | 52 | 70 | 80..=83)
        && month_of(digits.get(1..).unwrap_or_default(), &[0])
}

/// A remainder of ten asks for other weights, and once more for 0.
fn baltic(digits: &[i64]) -> bool {
    let rest = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 1], [3, 4, 5, 6, 7, 8, 9, 1, 2, 3]]
        .iter()
        .map(|weights| weighted(digits, weights) % 11)
        .find(|rest| *rest < 10);
    digits.last() == Some(&rest.unwrap_or(0)) && month_of(digits.get(1..).unwrap_or_default(), &[0])
}

/// The day of birth comes first.
fn amka(digits: &[i64]) -> bool {
    let [a, b, c, d, ..] = digits else { return false };
    luhn(digits) && month_of(&[0, 0, *c, *d, *a, *b], &[0])
}

fn snils(digits: &[i64]) -> bool {
    digits.get(9..).map(number) == Some(weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100)
}

fn belgian(digits: &[i64]) -> bool {
    let (head, check) = (digits.get(..9).map_or(0, number), digits.get(9..).map_or(0, number));
    (97 - head % 97 == check || 97 - (2_000_000_000 + head) % 97 == check) && month_of(digits, &[0, 20, 40])
}

fn ean13(digits: &[i64]) -> bool {
    weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 == 0 && digits.starts_with(&[7, 5, 6])
}

fn nhs(digits: &[i64]) -> bool {
    let check = 11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    check != 10 && digits.last() == Some(&(check % 11))
}

fn npi(digits: &[i64]) -> bool {
    let with_prefix: Vec<i64> = [8, 0, 8, 4, 0].into_iter().chain(digits.iter().copied()).collect();
    matches!(digits.first(), Some(1 | 2)) && luhn(&with_prefix)
}

/// One digit may stand two or three times among the first ten, the others once at most.
fn german_tax_id(digits: &[i64]) -> bool {
    let mut counts = [0; 10];
    for digit in digits.iter().take(10) {
        if let Some(count) = counts.get_mut(*digit as usize) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    digits.first() != Some(&0)
        && repeated == 1
        && counts.iter().all(|count| *count <= 3)
        && iso7064_11_10(digits)
}

fn iso7064_11_10(digits: &[i64]) -> bool {
    let (Some(last), head) =
        (digits.last(), digits.get(..digits.len().saturating_sub(1)).unwrap_or_default())
    else {
        return false;
    };
    let product = head.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == *last
}

fn my_number(digits: &[i64]) -> bool {
    let rest = weighted(digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    digits.last() == Some(&if rest <= 1 { 0 } else { 11 - rest })
}

fn korean(digits: &[i64]) -> bool {
    let sum = weighted(digits, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    digits.last() == Some(&((11 - sum % 11) % 10)) && month_of(digits, &[0])
}

fn norwegian(digits: &[i64]) -> bool {
    let first = (11 - weighted(digits, &[3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11) % 11;
    let second = (11 - weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    digits.get(9..) == Some(&[first, second])
}

fn turkish(digits: &[i64]) -> bool {
    let at = |places: [usize; 5]| -> i64 { places.iter().filter_map(|place| digits.get(*place)).sum() };
    let odd = at([0, 2, 4, 6, 8]);
    let even: i64 = digits.iter().skip(1).step_by(2).take(4).sum();
    let tenth = (odd * 7 - even).rem_euclid(10);
    let eleventh = digits.iter().take(10).sum::<i64>() % 10;
    digits.first() != Some(&0) && digits.get(9..) == Some(&[tenth, eleventh])
}

fn cuit(digits: &[i64]) -> bool {
    let check = 11 - weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = match check {
        11 => 0,
        10 => 9,
        other => other,
    };
    matches!(digits.get(..2), Some([2, 0 | 3 | 4 | 7] | [3, 0 | 3 | 4])) && digits.last() == Some(&check)
}

/// Aadhaar's: a table of the dihedral group and one of permutations.
fn verhoeff(digits: &[i64]) -> bool {
    const PERMUTE: [usize; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let multiply = |a: usize, b: usize| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let permuted = |place: usize, digit: usize| {
        (0..place % 8).fold(digit, |digit, _| PERMUTE.get(digit).copied().unwrap_or(0))
    };
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |sum, (place, digit)| multiply(sum, permuted(place, *digit as usize)));
    check == 0
}

fn personnummer(value: &str) -> bool {
    let digits = digits(value);
    let ten = match digits.len() {
        10 => digits.as_slice(),
        12 => digits.get(2..).unwrap_or_default(),
        _ => return false,
    };
    luhn(ten) && month_of(ten, &[0])
}

/// The last letter is a remainder's; a first letter X, Y, Z (foreigners) stands for 0, 1, 2.
fn dni(value: &str) -> bool {
    let compact: String = value.to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let Some((body, letter)) = compact.split_at_checked(8) else { return false };
    let number = match body.split_at_checked(1) {
        Some(("X", rest)) => format!("0{rest}"),
        Some(("Y", rest)) => format!("1{rest}"),
        Some(("Z", rest)) => format!("2{rest}"),
        _ => body.to_owned(),
    };
    let Ok(number) = number.parse::<usize>() else { return false };
    "TRWAGMYFPDXBNJZSQVHLCKE".get(number % 23..number % 23 + 1) == Some(letter)
}

fn nir(value: &str) -> bool {
    let compact: String = value.to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    // Corsica's departments are 2A and 2B.
    let plain = compact.replacen("2A", "19", usize::from(compact.get(5..7) == Some("2A")));
    let plain = plain.replacen("2B", "18", usize::from(compact.get(5..7) == Some("2B")));
    let digits = digits(&plain);
    let (head, check) = (digits.get(..13).map_or(0, number), digits.get(13..).map_or(0, number));
    digits.len() == 15 && matches!(digits.first(), Some(1..=4 | 7 | 8)) && 97 - head % 97 == check
}

fn codice_fiscale(value: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let upper = value.to_ascii_uppercase();
    let (Some(body), Some(last)) = (upper.get(..15), upper.chars().nth(15)) else { return false };
    let sum: u32 = body
        .chars()
        .enumerate()
        .map(|(at, c)| {
            let place = c.to_digit(10).unwrap_or_else(|| u32::from(c).saturating_sub(65));
            if at % 2 == 0 { ODD.get(place as usize).copied().unwrap_or(0) } else { place }
        })
        .sum();
    upper.len() == 16 && char::from_u32(65 + sum % 26) == Some(last)
}

fn hetu(value: &str) -> bool {
    let digits = digits(value.get(..10).unwrap_or_default());
    let expected = "0123456789ABCDEFHJKLMNPRSTUVWXY".chars().nth((number(&digits) % 31) as usize);
    digits.len() == 9 && expected == value.to_ascii_uppercase().chars().nth(10)
}

fn ppsn(value: &str) -> bool {
    let upper = value.to_ascii_uppercase();
    let digits = digits(upper.get(..7).unwrap_or_default());
    let second = upper.chars().nth(8).and_then(|c| c.to_digit(36)).map_or(0, |value| i64::from(value) - 9);
    let rest = (weighted(&digits, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second) % 23;
    let expected = if rest == 0 { Some('W') } else { char::from_u32(64 + rest as u32) };
    digits.len() == 7 && upper.chars().nth(7) == expected
}

fn rut(value: &str) -> bool {
    let compact: String = value.to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let Some((body, last)) = compact.len().checked_sub(1).and_then(|at| compact.split_at_checked(at)) else {
        return false;
    };
    let sum: i64 = digits(body).iter().rev().zip([2, 3, 4, 5, 6, 7].iter().cycle()).map(|(d, w)| d * w).sum();
    let expected = match 11 - sum % 11 {
        11 => "0".to_owned(),
        10 => "K".to_owned(),
        other => other.to_string(),
    };
    (7..=8).contains(&body.len()) && last == expected
}

fn chinese(value: &str) -> bool {
    let digits = digits(value.get(..17).unwrap_or_default());
    let sum = weighted(&digits, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let year = digits.get(6..10).map_or(0, number);
    let expected = "10X98765432".chars().nth((sum % 11) as usize);
    digits.len() == 17
        && (1900..2100).contains(&year)
        && expected == value.to_ascii_uppercase().chars().nth(17)
}

fn curp(value: &str) -> bool {
    // Ñ has a place of its own, between N and O.
    let place = |c: char| c.to_digit(36).map(|value| if value > 23 { value + 1 } else { value });
    let upper = value.to_ascii_uppercase();
    let sum: u32 = upper.chars().take(17).zip((2..=18).rev()).map(|(c, w)| place(c).unwrap_or(0) * w).sum();
    let born = digits(upper.get(4..10).unwrap_or_default());
    upper.len() == 18
        && month_of(&born, &[0])
        && upper.chars().nth(17).and_then(|c| c.to_digit(10)) == Some((10 - sum % 10) % 10)
}

fn dea(value: &str) -> bool {
    let d = digits(value);
    let [a, b, c, d, e, f, check] = d.as_slice() else { return false };
    (a + c + e + 2 * (b + d + f)) % 10 == *check
}

fn nric(value: &str) -> bool {
    let upper = value.to_ascii_uppercase();
    let digits = digits(&upper);
    let (Some(first), Some(last)) = (upper.chars().next(), upper.chars().last()) else { return false };
    let offset = match first {
        'T' | 'G' => 4,
        'M' => 3,
        _ => 0,
    };
    let rest = ((weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]) + offset) % 11) as usize;
    let letters = match first {
        'S' | 'T' => "JZIHGFEDCBA",
        'F' | 'G' => "XWUTRQPNMLK",
        _ => "XWUTRQPNJLK",
    };
    let at = if first == 'M' { 10 - rest } else { rest };
    digits.len() == 7 && letters.chars().nth(at) == Some(last)
}

fn hkid(value: &str) -> bool {
    let compact: String = value.to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let Some((body, last)) = compact.len().checked_sub(1).and_then(|at| compact.split_at_checked(at)) else {
        return false;
    };
    // A single letter has a blank before it, which counts as 36.
    let padded = if body.len() == 7 { 36 * 9 } else { 0 };
    let sum: u32 =
        body.chars().rev().zip(2u32..).map(|(c, w)| c.to_digit(36).unwrap_or(0) * w).sum::<u32>() + padded;
    let expected = match (11 - sum % 11) % 11 {
        10 => "A".to_owned(),
        other => other.to_string(),
    };
    (7..=8).contains(&body.len()) && last == expected
}

/// The second line of a passport's machine-readable zone: number, birth and expiry.
fn machine_readable(value: &str) -> bool {
    let line = value.lines().last().map(str::trim).filter(|line| line.len() == 44);
    line.is_some_and(|line| is_checked(line, 0, 9) && is_checked(line, 13, 19) && is_checked(line, 21, 27))
}

/// An identity card has the number in its first line, the dates in its second.
fn identity_card(value: &str) -> bool {
    let mut lines = value.lines();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    is_checked(first, 5, 14) && is_checked(second, 0, 6) && is_checked(second, 8, 14)
}

/// Whether the digit behind a field is its checksum: weights 7, 3 and 1, by ICAO's document 9303.
fn is_checked(line: &str, from: usize, to: usize) -> bool {
    let field = line.get(from..to).unwrap_or_default();
    let values = field.chars().map(|c| c.to_digit(36).unwrap_or(0));
    let sum: u32 = values.zip([7, 3, 1].iter().cycle()).map(|(value, weight)| value * weight).sum();
    line.get(to..to + 1).and_then(|digit| digit.parse::<u32>().ok()) == Some(sum % 10)
}
