//! Unknown fields of one dialect that a call takes to another, where they mean nothing.

use trunkline_core::{Dialect, Extra, ExtraField, Losses};

/// Those of `extra` that say something and that `own` did not define.
pub(crate) fn fields(extra: &Extra, own: Dialect) -> impl Iterator<Item = &ExtraField> {
    let says = |field: &&ExtraField| !matches!(field.value.as_str(), "null" | "[]" | "{}" | "\"\"");
    extra.iter().filter(move |field| field.dialect != own).filter(says)
}

/// Records those of an inner object, which `path` names.
pub(crate) fn record(extra: &Extra, own: Dialect, path: &dyn Fn() -> String, losses: &mut Losses) {
    for field in fields(extra, own) {
        losses.hint(format!("{}.{}", path(), field.key), "target does not know this field");
    }
}
