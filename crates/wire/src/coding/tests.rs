use proptest::prelude::*;

use super::*;

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn sample() -> Vec<u8> {
    (0..20_000u32)
        .flat_map(|number| format!("line {} of text\n", number.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

fn decoded(codings: &[Coding], bytes: &[u8]) -> Result<Vec<u8>, CodingError> {
    decode(codings, bytes, &Bounds::default())
}

#[test]
fn headers_are_parsed() {
    assert_eq!(parse("gzip, BR ,identity").unwrap(), [Coding::Gzip, Coding::Brotli]);
    assert_eq!(parse("x-gzip").unwrap(), [Coding::Gzip]);
    assert_eq!(parse("").unwrap(), []);
    assert!(matches!(parse("gzip, exi"), Err(CodingError::Unknown)));
    assert!(matches!(parse("br,br,br,br,br"), Err(CodingError::TooMany { .. })));
}

#[test]
fn every_coding_goes_there_and_back_alone_and_stacked() {
    let body = sample();
    for codings in ALL.iter().map(|coding| vec![*coding]).chain([ALL.to_vec(), vec![]]) {
        let encoded = encode(&codings, &body).unwrap();
        assert!(codings.is_empty() || encoded.len() < body.len());
        assert!(decoded(&codings, &encoded).unwrap() == body, "{codings:?}");
    }
}

#[test]
fn bare_deflate_is_read_too() {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&sample()).unwrap();
    assert!(decoded(&[Coding::Deflate], &encoder.finish().unwrap()).unwrap() == sample());
}

#[test]
fn gzip_members_and_zstd_frames_follow_each_other() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let one = encode(&[coding], b"one ").unwrap();
        let two = encode(&[coding], b"two").unwrap();
        assert_eq!(decoded(&[coding], &[one, two].concat()).unwrap(), b"one two");
    }
}

#[test]
fn gzip_headers_of_every_kind_are_skipped() {
    let plain = encode(&[Coding::Gzip], b"hello").unwrap();
    let mut fancy = plain[..3].to_vec();
    fancy.push(4 | 8 | 16 | 2);
    fancy.extend_from_slice(&plain[4..10]);
    fancy.extend_from_slice(b"\x03\x00abcname\0comment\0\x12\x34");
    fancy.extend_from_slice(&plain[10..]);
    assert_eq!(decoded(&[Coding::Gzip], &fancy).unwrap(), b"hello");
}

#[test]
fn cut_corrupt_and_trailing_bodies_are_errors() {
    for coding in ALL {
        let encoded = encode(&[coding], &sample()).unwrap();
        for length in [0, 1, 5, encoded.len() / 2, encoded.len() - 1] {
            let cut = decoded(&[coding], &encoded[..length]);
            assert!(matches!(cut, Err(CodingError::Truncated { .. })), "{coding} {length} {cut:?}");
        }
        let trailing = decoded(&[coding], &[encoded.as_slice(), b"more"].concat());
        assert!(
            matches!(trailing, Err(CodingError::Trailing { .. } | CodingError::Corrupt { .. })),
            "{coding}"
        );
        assert!(decoded(&[coding], b"\x00\x01this is no such body, whatever it says").is_err(), "{coding}");
    }
    let mut wrong_sum = encode(&[Coding::Gzip], b"hello").unwrap();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    assert!(matches!(decoded(&[Coding::Gzip], &wrong_sum), Err(CodingError::Corrupt { .. })));
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 32 * 1024 * 1024];
    for coding in ALL {
        let bomb = encode(&[coding], &zeros).unwrap();
        let refused = decoded(&[coding], &bomb);
        assert!(matches!(refused, Err(CodingError::Bomb { .. })), "{coding} {} bytes", bomb.len());
        let bounds = Bounds { max_out: 1000, max_ratio: usize::MAX };
        let refused = decode(&[coding], &bomb, &bounds);
        assert!(matches!(refused, Err(CodingError::TooLarge { limit: 1000, .. })), "{coding}");
    }
    let nested = encode(&[Coding::Gzip, Coding::Gzip], &zeros).unwrap();
    assert!(decoded(&[Coding::Gzip, Coding::Gzip], &nested).is_err());
}

#[test]
fn zstd_windows_beyond_the_standard_are_refused() {
    use ::zstd::stream::raw::CParameter;
    use std::io::Write;
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.set_parameter(CParameter::WindowLog(24)).unwrap();
    encoder.write_all(&[7; 1000]).unwrap();
    encoder.flush().unwrap();
    encoder.write_all(&sample()).unwrap();
    let encoded = encoder.finish().unwrap();
    assert!(matches!(decoded(&[Coding::Zstd], &encoded), Err(CodingError::Corrupt { .. })));
}

#[test]
fn a_flushed_stream_gives_its_text_at_once() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"data: first\n\n").unwrap();
    encoder.flush().unwrap();
    let first = std::mem::take(encoder.get_mut());
    let mut decoder = StreamDecoder::new(&[Coding::Gzip], Bounds::streaming()).unwrap();
    let mut out = Vec::new();
    decoder.push(&first, &mut out).unwrap();
    assert_eq!(out, b"data: first\n\n");
    decoder.push(&encoder.finish().unwrap(), &mut out).unwrap();
    decoder.finish(&mut out).unwrap();
    assert_eq!(out, b"data: first\n\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunking_changes_nothing(
        body in proptest::collection::vec(0u8..8, 0..3000),
        which in 0usize..4,
        also in proptest::option::of(0usize..4),
        step in 1usize..40,
    ) {
        let codings: Vec<Coding> = [Some(which), also].into_iter().flatten().map(|at| ALL[at]).collect();
        let encoded = encode(&codings, &body).unwrap();
        let mut decoder = StreamDecoder::new(&codings, Bounds::default()).unwrap();
        let mut out = Vec::new();
        for piece in encoded.chunks(step) {
            decoder.push(piece, &mut out).unwrap();
        }
        decoder.finish(&mut out).unwrap();
        prop_assert_eq!(out, body);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), which in 0usize..4) {
        let _ = decoded(&[ALL[which]], &bytes);
        let mut start = encode(&[ALL[which]], b"some text to begin with").unwrap();
        start.truncate(bytes.len() / 4);
        start.extend_from_slice(&bytes);
        let _ = decoded(&[ALL[which]], &start);
    }
}
