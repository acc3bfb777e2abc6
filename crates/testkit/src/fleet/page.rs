//! The tables and the plot of `docs/routing.md`.

use super::{Incident, PACE, Report, Run, Shape, Way, paced};
use crate::engine::Pace;
use std::fmt::Write;
use trunkline_route::Weights;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Engines of the fleet.
    pub engines: usize,
    /// Seconds of each run.
    pub seconds: f64,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// What `cache_aware` goes by.
    pub weights: Weights,
}

/// What is the matter with a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Well,
    /// One engine dies in the middle.
    Death,
    /// One is gone for five seconds, and comes back with nothing in its cache.
    ColdStart,
    /// A quarter of it has half the pace.
    Uneven,
}

/// What came of one run.
#[derive(Debug)]
pub struct Row {
    shape: Shape,
    way: Way,
    scene: Scene,
    /// What came of it.
    pub report: Report,
}

impl Scene {
    const TROUBLED: [Self; 3] = [Self::Death, Self::ColdStart, Self::Uneven];

    const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Death => "one dies",
            Self::ColdStart => "one starts again, cold",
            Self::Uneven => "a quarter at half the pace",
        }
    }

    const fn incident(self) -> Option<Incident> {
        match self {
            Self::Well | Self::Uneven => None,
            Self::Death => Some(Incident::Dies(1)),
            Self::ColdStart => Some(Incident::Restarts(1, 5.0)),
        }
    }

    fn engines(self, count: usize) -> Vec<Pace> {
        let slow = |at: usize| self == Self::Uneven && at.is_multiple_of(4);
        (0..count).map(|at| if slow(at) { paced(0.5) } else { PACE }).collect()
    }
}

impl Plan {
    /// Runs everything, or the shapes and ways that `wanted` names, and tells `done` of each as it ends.
    pub fn run(&self, wanted: impl Fn(Shape, Way) -> bool, mut done: impl FnMut(&Row)) -> Vec<Row> {
        let ways = [
            Way::CacheAware(self.weights),
            Way::Threshold,
            Way::LeastConnections,
            Way::RoundRobin,
            Way::Oracle,
        ];
        let well = Shape::ALL.into_iter().flat_map(|shape| ways.map(|way| (shape, way, Scene::Well)));
        let troubled = [Shape::Chat, Shape::Agents].into_iter().flat_map(|shape| {
            let scenes = Scene::TROUBLED.into_iter();
            scenes.flat_map(move |scene| ways.into_iter().take(3).map(move |way| (shape, way, scene)))
        });
        let runs = well.chain(troubled).filter(|(shape, way, _)| wanted(*shape, *way));
        runs.map(|(shape, way, scene)| {
            let Self { engines, seconds, seed, .. } = *self;
            let engines = scene.engines(engines);
            let run = Run { shape, way, engines, seconds, seed, incident: scene.incident() };
            let row = Row { shape, way, scene, report: run.report() };
            done(&row);
            row
        })
        .collect()
    }
}

impl Row {
    /// One line for a terminal.
    #[must_use]
    pub fn line(&self) -> String {
        let r = &self.report;
        format!(
            "{:16} {:26} {:18} calls {:6} hits {:.3} pooled {:.3} ttft {:.3} {:.3} tok/s {:.0} busy {:.2} busiest {:.2} \
             later {:.2} fullest {:.2}\n",
            self.shape.name(),
            self.scene.name(),
            self.way.name(),
            r.calls,
            r.hits,
            r.pooled,
            r.ttft[0],
            r.ttft[1],
            r.throughput,
            r.busy,
            r.busiest,
            r.busiest_later,
            r.fullest
        )
    }

    fn cells(&self) -> String {
        let r = &self.report;
        let number = |number: f64, digits: usize| match number.is_finite() {
            true => format!("{number:.digits$}"),
            false => "-".to_owned(),
        };
        let hits = if r.hits.is_finite() { format!("{:.1} %", 100.0 * r.hits) } else { "-".to_owned() };
        let (half, most) = (number(r.ttft[0], 3), number(r.ttft[1], 3));
        format!("{} | {hits} | {half} | {most} | {:.0}", self.way.name(), r.throughput)
    }
}

/// The tables, in Markdown.
#[must_use]
pub fn tables(rows: &[Row]) -> String {
    let head = |first: &str, last: &str| {
        format!(
            "| {first} | policy | prompt tokens found in caches | first token, half of calls, s | 99 %, s | answers' tokens/s \
             | {last} |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        )
    };
    let mut text = head("load", "busiest engine's work over the mean");
    for row in rows.iter().filter(|row| row.scene == Scene::Well) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {:.2} |", row.shape.name(), row.cells(), row.report.busiest);
    }
    text.push_str("\nWhat becomes of a fleet that is not well, from the middle of the run on:\n\n");
    text.push_str(&head("load, fleet", "busiest of those left over their mean, later"));
    for row in rows.iter().filter(|row| row.scene != Scene::Well) {
        let (shape, scene) = (row.shape.name(), row.scene.name());
        let _ = writeln!(text, "| {shape}, {scene} | {} | {:.2} |", row.cells(), row.report.busiest_later);
    }
    text
}

/// Colours of the policies, in the order in which they run; told apart by all kinds of eyes (Okabe and Ito's palette).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999"];
const BAR: f64 = 12.0;
const PANEL: [f64; 2] = [900.0, 220.0];
const MARGIN: [f64; 2] = [60.0, 40.0];

/// Hit rates, and how long 99 of a hundred calls took to their first token, as SVG.
#[must_use]
pub fn plot(rows: &[Row]) -> String {
    let well: Vec<&Row> = rows.iter().filter(|row| row.scene == Scene::Well).collect();
    let mut names: Vec<&str> = Vec::new();
    for row in &well {
        if !names.contains(&row.way.name()) {
            names.push(row.way.name());
        }
    }
    let [width, height] = PANEL;
    let total = 2.0 * (height + MARGIN[1]) + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {total}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let hits = |report: &Report| (report.hits, format!("{:.1} %", 100.0 * report.hits));
    // From a hundredth of a second to a hundred, by powers of ten.
    let waits = |report: &Report| {
        let seconds = report.ttft[1];
        ((seconds.log10() + 2.0) / 4.0, format!("{seconds:.3} s"))
    };
    let percent = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{:.0} %", 100.0 * at)));
    let powers = [(0.0, "0.01 s"), (0.25, "0.1 s"), (0.5, "1 s"), (0.75, "10 s"), (1.0, "100 s")]
        .map(|(at, s)| (at, s.to_owned()));
    panel(&mut svg, 0.0, "prompt tokens found in caches", &percent, &well, &names, &hits);
    panel(&mut svg, height + MARGIN[1], "99 % of first tokens within", &powers, &well, &names, &waits);
    for ((name, colour), at) in names.iter().zip(COLOURS).zip(0_u8..) {
        let x = MARGIN[0] + 160.0 * f64::from(at);
        let y = total - 16.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 11.0,
            x + 18.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// One panel: a group of bars for every load. What is not known has no bar.
fn panel(
    svg: &mut String,
    top: f64,
    title: &str,
    ticks: &[(f64, String)],
    rows: &[&Row],
    names: &[&str],
    value: &dyn Fn(&Report) -> (f64, String),
) {
    let [width, height] = PANEL;
    let (left, bottom) = (MARGIN[0], top + height);
    let y_of = |share: f64| bottom - share.clamp(0.0, 1.0) * (height - 40.0);
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top + 24.0);
    for (at, label) in ticks {
        let y = y_of(*at);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{y}\" x2=\"{width}\" y2=\"{y}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" \
             text-anchor=\"end\">{label}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    let group = (width - left) / 6.0;
    for (shape, nth) in Shape::ALL.into_iter().zip(0_u8..) {
        let from = left + group * f64::from(nth) + 20.0;
        for row in rows.iter().filter(|row| row.shape == shape) {
            let Some(at) = names.iter().position(|name| *name == row.way.name()) else { continue };
            let (share, told) = value(&row.report);
            let (Some(colour), true) = (COLOURS.get(at), share.is_finite()) else { continue };
            let (x, y) = (from + BAR * 1.4 * f64::from(u8::try_from(at).unwrap_or(0)), y_of(share));
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{BAR}\" height=\"{:.1}\" fill=\"{colour}\"><title>{}, {}: {told}\
                 </title></rect>",
                bottom - y,
                shape.name(),
                row.way.name()
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            from + 40.0,
            bottom + 18.0,
            shape.name()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_told() {
        let plan = Plan { engines: 4, seconds: 2.0, seed: 1, weights: Weights::default() };
        let mut lines = Vec::new();
        let rows =
            plan.run(|shape, way| shape == Shape::Chat && way != Way::Oracle, |row| lines.push(row.line()));
        assert_eq!((rows.len(), lines.len()), (4 + 3 * 3, 4 + 3 * 3));
        let text = tables(&rows);
        assert_eq!(text.lines().filter(|line| line.starts_with("| multi-turn chat")).count(), rows.len());
        assert!(text.contains("| multi-turn chat, one dies | cache_aware | "), "{text}");
        let svg = plot(&rows);
        assert_eq!(svg.matches("<title>multi-turn chat, ").count(), 2 * 4, "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
