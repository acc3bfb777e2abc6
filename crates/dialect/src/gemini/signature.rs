//! State in a field that holds bytes. Google's clients decode a signature as base64 and send it back in the
//! URL-safe alphabet, so state that is sealed, which is no base64, is put into it once more.

use crate::data_url::standard_base64;
use crate::seal::is_sealed;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// How the base64 of sealed state begins.
const SEALED: &str = "dGwyL";

/// State as a client's field takes it.
pub(super) fn write(state: Cow<'_, str>) -> Cow<'_, str> {
    if is_sealed(&state) { STANDARD.encode(state.as_bytes()).into() } else { state }
}

/// What a client brings back.
pub(super) fn read(field: Cow<'_, str>) -> String {
    let sealed = || {
        let bytes = STANDARD.decode(standard_base64(field.strip_prefix(SEALED).map(|_| &*field)?)?).ok()?;
        String::from_utf8(bytes).ok().filter(|text| is_sealed(text))
    };
    sealed().unwrap_or_else(|| field.clone().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_state_passes_as_bytes() {
        for state in ["tl2.AAAA-_?", "tl2.B", "Q2xhdWRl", "no base64", ""] {
            let field = write(state.into()).into_owned();
            assert!(!is_sealed(state) || STANDARD.decode(&field).is_ok(), "{field}");
            assert_eq!(read(field.clone().into()), state);
            let safe = field.replace('+', "-").replace('/', "_").replace('=', "");
            assert!(!is_sealed(state) || read(safe.into()) == state, "{state}");
        }
        assert!(write("tl2.x".into()).starts_with(SEALED));
    }
}
