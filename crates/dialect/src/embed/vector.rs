//! One vector in its two spellings.
//!
//! Numbers are read straight from their text into an `f32`: by way of an `f64` they would be rounded twice.
//! Written, an `f32` is the shortest decimal that reads back as the same bits.

use crate::codec::upstream;
use crate::json::Writer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use trunkline_core::{Fault, Json, Vector, VectorForm};

/// Writes `vector` as a client wants it.
///
/// # Errors
/// When it is not a list of numbers, or has some that JSON cannot hold.
pub(super) fn write(w: &mut Writer<'_>, vector: &Vector, form: &VectorForm) -> Result<(), Fault> {
    match (vector, form) {
        (Vector::Float(list), VectorForm::Float | VectorForm::Other(_)) => w.raw(list.as_str()),
        (Vector::Base64(text), VectorForm::Base64) => w.string(text),
        (Vector::Float(list), VectorForm::Base64) => w.string(&packed(list)?),
        (Vector::Base64(text), VectorForm::Float | VectorForm::Other(_)) => w.raw(&listed(text)?),
    }
    Ok(())
}

/// The same vector, at the length of one.
pub(super) fn normalised(vector: &Vector) -> Option<Vector> {
    let Vector::Float(list) = vector else { return None };
    let values = numbers(list)?;
    let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 || !length.is_finite() || (length - 1.0).abs() < 1e-3 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the vector's own precision")]
    let scaled: Vec<f32> = values.iter().map(|value| (f64::from(*value) / length) as f32).collect();
    Json::parse(&spelled(&scaled)?).ok().map(Vector::Float)
}

fn packed(list: &Json) -> Result<String, Fault> {
    let values = numbers(list).ok_or_else(no_vector)?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(STANDARD.encode(bytes))
}

fn listed(text: &str) -> Result<String, Fault> {
    let bytes = STANDARD.decode(text).map_err(|_| no_vector())?;
    let (values, []) = bytes.as_chunks::<4>() else { return Err(no_vector()) };
    let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    spelled(&values).ok_or_else(no_vector)
}

fn numbers(list: &Json) -> Option<Vec<f32>> {
    let inner = list.as_str().trim().strip_prefix('[')?.strip_suffix(']')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|number| number.trim().parse::<f32>().ok()).collect()
}

fn spelled(values: &[f32]) -> Option<String> {
    values.iter().all(|value| value.is_finite()).then(|| serde_json::to_string(values).ok())?
}

fn no_vector() -> Fault {
    upstream("the upstream's answer holds a vector that is none").code("upstream_unreadable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(vector: &Vector, form: &VectorForm) -> Result<String, Fault> {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out), vector, form)?;
        Ok(serde_json::from_slice(&out).unwrap_or_else(|_| String::from_utf8(out).unwrap()))
    }

    proptest! {
        #[test]
        fn both_spellings_are_exact_to_the_bit(bits in prop::collection::vec(any::<u32>(), 0..40)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|f| f.is_finite()).collect();
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let base64 = STANDARD.encode(&bytes);
            let list = written(&Vector::Base64(base64.clone()), &VectorForm::Float).unwrap();
            let back = written(&Vector::Float(Json::parse(&list).unwrap()), &VectorForm::Base64).unwrap();
            prop_assert_eq!(back, base64);
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(text in any::<String>()) {
            let _ = written(&Vector::Base64(text.clone()), &VectorForm::Float);
            let _ = numbers(&Json::string(&text));
        }
    }

    #[test]
    fn numbers_shown_as_numbers_keep_their_spelling() {
        let list = "[0.1,1e-7,-0.0,0.12345678901234567, 3]";
        let vector = Vector::Float(Json::parse(list).unwrap());
        assert_eq!(written(&vector, &VectorForm::Float).unwrap(), list);
        let bytes = STANDARD.decode(written(&vector, &VectorForm::Base64).unwrap()).unwrap();
        let first: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(first, [0.1, 1e-7, -0.0, 0.123_456_79, 3.0]);
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        for bytes in [f32::NAN.to_le_bytes().to_vec(), f32::INFINITY.to_le_bytes().to_vec(), vec![1, 2, 3]] {
            assert!(written(&Vector::Base64(STANDARD.encode(&bytes)), &VectorForm::Float).is_err());
        }
        for list in ["[\"a\"]", "[[1]]", "{}", "[null]"] {
            let vector = Vector::Float(Json::parse(list).unwrap());
            assert!(written(&vector, &VectorForm::Base64).is_err(), "{list}");
        }
    }

    #[test]
    fn a_vector_is_brought_to_the_length_of_one() {
        let vector = Vector::Float(Json::parse("[3,4]").unwrap());
        assert_eq!(normalised(&vector), Some(Vector::Float(Json::parse("[0.6,0.8]").unwrap())));
        assert_eq!(normalised(&Vector::Float(Json::parse("[0.6,0.8]").unwrap())), None);
        assert_eq!(normalised(&Vector::Float(Json::parse("[0,0]").unwrap())), None);
    }
}
