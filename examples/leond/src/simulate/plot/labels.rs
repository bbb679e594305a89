//! Where names stand beside their dots, so that they cover neither each other nor a dot if there is room. Knows
//! rectangles only.

use super::svg::Anchor;

/// About the width of a character, for its height.
const CHARACTER: f64 = 0.56;
/// Space between a dot and its name.
const GAP: f64 = 3.0;

/// A dot and its name.
pub(super) struct Label {
    pub(super) at: (f64, f64),
    pub(super) radius: f64,
    /// Empty if there is none.
    pub(super) text: String,
}

#[derive(Clone, Copy)]
struct Rect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Rect {
    /// The area that both cover.
    fn overlap(self, other: Rect) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }
}

/// For each label where its text begins, ends or has its middle on its base line: right, left, above or below the dot,
/// the first of these that covers least.
pub(super) fn arranged(labels: &[Label], size: f64) -> Vec<((f64, f64), Anchor)> {
    let dot = |&Label { at: (x, y), radius, .. }: &Label| Rect {
        left: x - radius,
        top: y - radius,
        right: x + radius,
        bottom: y + radius,
    };
    let mut taken: Vec<Rect> = labels.iter().map(dot).collect();
    let mut arrangement = Vec::new();
    for label in labels {
        let covered = |rect: Rect| taken.iter().map(|other| rect.overlap(*other)).sum::<f64>();
        let candidates = candidates(label, size);
        let best = candidates.into_iter().min_by(|(_, _, a), (_, _, b)| covered(*a).total_cmp(&covered(*b)));
        let (at, anchor, rect) = best.expect("there are four");
        taken.push(rect);
        arrangement.push((at, anchor));
    }
    arrangement
}

fn candidates(label: &Label, size: f64) -> [((f64, f64), Anchor, Rect); 4] {
    let Label { at: (x, y), radius, ref text } = *label;
    let width = text.chars().count() as f64 * CHARACTER * size;
    let beside = radius + GAP;
    let candidate = |x: f64, base: f64, anchor| {
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        ((x, base), anchor, Rect { left, top: base - size, right: left + width, bottom: base + size / 4.0 })
    };
    [
        candidate(x + beside, y + size / 3.0, Anchor::Start),
        candidate(x - beside, y + size / 3.0, Anchor::End),
        candidate(x, y - beside, Anchor::Middle),
        candidate(x, y + beside + size * 0.8, Anchor::Middle),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_near_dots_keep_apart() {
        let label = |x, text: &str| Label { at: (x, 0.0), radius: 4.0, text: text.to_owned() };
        let labels = [label(0.0, "Milan"), label(10.0, "Vienna"), label(500.0, "Seoul")];
        let anchors: Vec<Anchor> = arranged(&labels, 12.0).into_iter().map(|(_, anchor)| anchor).collect();
        assert_eq!(anchors, [Anchor::End, Anchor::Start, Anchor::Start]);
    }
}
