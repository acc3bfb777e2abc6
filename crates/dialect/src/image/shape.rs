//! Sizes, for targets that take something else than any number of pixels.

use trunkline_core::{Losses, Pixels};

/// Sides of a shape, or of a size where those are the only ones there are.
pub(super) type Sides = (u32, u32);

/// Longest sides in pixels from which on pictures of twice and four times the usual size are asked for.
const LARGER: [(u32, &str); 2] = [(3000, "4K"), (1700, "2K")];
/// What a square is everywhere.
const USUAL: Pixels = Pixels { width: 1024, height: 1024 };

/// The one of `shapes` that is most like `size`, as it is written. Pixels are lost wherever shapes are all there is.
pub(super) fn ratio(size: Option<Pixels>, shapes: &[Sides], losses: &mut Losses) -> Option<String> {
    let size = size?;
    let (width, height) = nearest(size, shapes)?;
    let ratio = format!("{width}:{height}");
    if size != USUAL {
        losses.degraded("size", format!("the target takes shapes rather than pixels; sent as {ratio}"));
    }
    Some(ratio)
}

/// The one of `all` whose shape is most like that of `size`; of several the one that is about as large.
pub(super) fn nearest(size: Pixels, all: &[Sides]) -> Option<Sides> {
    let slope = |width: u32, height: u32| (f64::from(width) / f64::from(height)).ln();
    let far = |(width, height): &Sides| {
        let shape = (slope(*width, *height) - slope(size.width, size.height)).abs();
        // Shapes that differ by less than a hundredth are one.
        ((shape * 100.0).floor(), f64::from(width.abs_diff(size.width)))
    };
    all.iter().copied().min_by(|a, b| {
        let (a, b) = (far(a), far(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

/// The class of sizes that pictures of twice the usual size and more belong to.
pub(super) fn class(size: Option<Pixels>) -> Option<&'static str> {
    let longest = size.map_or(0, |size| size.width.max(size.height));
    LARGER.iter().find(|(from, _)| longest >= *from).map(|(_, class)| *class)
}
