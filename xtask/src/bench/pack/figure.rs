//! The figure: start-up by megabytes packed, memory by megabytes read, memory of instances. Drawn as SVG text, with
//! a ground of its own that follows the reader's light or dark mode, so that it is legible on any page.

use super::super::samples::{Samples, number};
use std::fmt::Write;

/// One line of a panel.
pub struct Line {
    pub name: String,
    /// Where on the horizontal axis, and what was measured there.
    pub points: Vec<(f64, Samples)>,
    /// Not measured: dashed.
    pub computed: bool,
}

/// One bar.
pub struct Bar {
    pub name: String,
    pub bytes: Samples,
    /// The program itself, which those behind it are held against.
    pub own: bool,
}

/// What is drawn; a panel without lines is left empty.
#[derive(Default)]
pub struct Figure {
    pub start: Vec<Line>,
    pub touched: Vec<Line>,
    pub instances: Vec<Bar>,
}

const WIDTH: f64 = 980.0;
const PANEL_WIDTH: f64 = 480.0;
const PANEL_HEIGHT: f64 = 400.0;
const BARS_HEIGHT: f64 = 295.0;
/// Where bars begin and the longest ends.
const BARS_LEFT: f64 = 330.0;
const BARS_RIGHT: f64 = 940.0;
/// What an instance of a pack may hold beyond the program itself: a page of WebAssembly.
pub const GOAL_BYTES: f64 = 65536.0;

/// Colours that the colour-blind can tell apart, brighter on a dark ground.
const STYLE: &str = "\
text { font: 13px system-ui, 'Helvetica Neue', Arial, sans-serif; fill: #222 } .title { font-size: 16px; font-weight: 600 }
.note { fill: #555 } .ground { fill: #fff } .grid { stroke: #ddd } .axis { stroke: #666 } path, line { fill: none }
.l0 { stroke: #0060a8 } .l1 { stroke: #c04e00 } .l2 { stroke: #00805c } .l3 { stroke: #8a5a9e } .l { stroke-width: 2 } .l0 { stroke-width: 3 }
.f0 { fill: #0060a8 } .f1 { fill: #c04e00 } .f2 { fill: #00805c } .f3 { fill: #8a5a9e } .own { fill: #999 } .goal { stroke: #c04e00 }
@media (prefers-color-scheme: dark) {
text { fill: #e8e8e8 } .note { fill: #b0b0b0 } .ground { fill: #16181c } .grid { stroke: #363a40 } .axis { stroke: #999 }
.l0 { stroke: #5ab4ff } .l1 { stroke: #ff9b4a } .l2 { stroke: #3fd0a0 } .l3 { stroke: #c99be0 }
.f0 { fill: #5ab4ff } .f1 { fill: #ff9b4a } .f2 { fill: #3fd0a0 } .f3 { fill: #c99be0 } .own { fill: #777 } .goal { stroke: #ff9b4a } }";

/// An axis from the first to the last of its ticks.
struct Axis {
    title: &'static str,
    ticks: Vec<f64>,
    /// In powers, not in sums.
    powers: bool,
}

impl Axis {
    /// Decades around the values.
    fn decades(title: &'static str, values: &[f64]) -> Self {
        let (low, high) = bounds(values);
        let (low, high) = (low.max(1e-3).log10().floor() as i32, high.max(1e-3).log10().ceil() as i32);
        Self { title, ticks: (low..=high.max(low + 1)).map(|power| 10_f64.powi(power)).collect(), powers: true }
    }

    /// About five round steps from zero.
    fn linear(title: &'static str, values: &[f64]) -> Self {
        let (_, high) = bounds(values);
        let raw = high.max(1e-9) / 5.0;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|round| round * power).into_iter().find(|step| *step >= raw);
        let step = step.unwrap_or(raw);
        let count = (high / step).ceil() as usize;
        Self { title, ticks: (0..=count).map(|at| at as f64 * step).collect(), powers: false }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let (first, last) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        let scale = |value: f64| if self.powers { value.max(1e-9).log10() } else { value };
        (scale(value) - scale(first)) / (scale(last) - scale(first))
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0), |(low, high), value| (value.min(low), value.max(high)))
}

impl Figure {
    /// The whole figure.
    pub fn svg(&self) -> String {
        let height = PANEL_HEIGHT + BARS_HEIGHT;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
             <title>Packs: start-up, memory by bytes read, memory of instances</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
        );
        let values = |lines: &[Line]| -> Vec<f64> {
            lines.iter().flat_map(|line| &line.points).map(|(_, samples)| samples.median()).collect()
        };
        let packed: Vec<f64> = self.start.iter().flat_map(|line| &line.points).map(|(mb, _)| *mb).collect();
        let read: Vec<f64> = self.touched.iter().flat_map(|line| &line.points).map(|(mb, _)| *mb).collect();
        if !self.start.is_empty() {
            let axes = (Axis::decades("MB packed", &packed), Axis::decades("ms", &values(&self.start)));
            svg.push_str(&panel(0.0, "Start to end of a run that reads nothing", &self.start, &axes));
        }
        if !self.touched.is_empty() {
            let axes =
                (Axis::linear("MB read of 100 MB packed", &read), Axis::linear("MB resident", &values(&self.touched)));
            svg.push_str(&panel(WIDTH - PANEL_WIDTH, "Most memory of a run", &self.touched, &axes));
        }
        svg.push_str(&bars(PANEL_HEIGHT, &self.instances));
        svg.push_str("</svg>\n");
        svg
    }
}

/// Lines over two axes, with their names above.
fn panel(left: f64, title: &str, lines: &[Line], axes: &(Axis, Axis)) -> String {
    let (across, up) = axes;
    let (x0, x1) = (left + 62.0, left + PANEL_WIDTH - 22.0);
    let (y0, y1) = (PANEL_HEIGHT - 52.0, 54.0 + 19.0 * lines.len() as f64 + 14.0);
    let x = |value: f64| x0 + (x1 - x0) * across.place(value);
    let y = |value: f64| y0 + (y1 - y0) * up.place(value);
    let mut svg = format!("<text class=\"title\" x=\"{}\" y=\"32\">{}</text>\n", left + 20.0, escaped(title));
    for tick in &up.ticks {
        let y = y(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x0}\" y1=\"{y:.1}\" x2=\"{x1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x0 - 8.0,
            y + 4.5,
            plain(*tick)
        );
    }
    for tick in &across.ticks {
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{0:.1}\" y1=\"{y0}\" x2=\"{0:.1}\" y2=\"{1}\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>",
            x(*tick),
            y0 + 5.0,
            y0 + 20.0,
            plain(*tick)
        );
    }
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"{x0}\" y1=\"{y0}\" x2=\"{x1}\" y2=\"{y0}\"/>\
         <text class=\"note\" x=\"{x1}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <text class=\"note\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        y0 + 40.0,
        escaped(across.title),
        x0 - 8.0,
        y1 - 12.0,
        up.title
    );
    // The first is what the figure is about, so it lies on top.
    for (at, line) in lines.iter().enumerate().rev() {
        svg.push_str(&named_line(at, line, left + 20.0, &x, &y));
    }
    svg
}

/// A line, the spread at each of its points, and its name.
fn named_line(at: usize, line: &Line, left: f64, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let dashes = if line.computed { " stroke-dasharray=\"6 5\"" } else { "" };
    let key = 52.0 + 19.0 * at as f64;
    let mut svg = format!(
        "<line class=\"l l{at}\" x1=\"{left}\" y1=\"{key}\" x2=\"{}\" y2=\"{key}\"{dashes}/><text x=\"{}\" y=\"{}\">{}</text>\n",
        left + 26.0,
        left + 34.0,
        key + 4.5,
        escaped(&line.name)
    );
    let mut path = String::new();
    for (index, (value, samples)) in line.points.iter().enumerate() {
        let (x, middle) = (x(*value), y(samples.median()));
        let _ = write!(path, "{}{x:.1} {middle:.1} ", if index == 0 { 'M' } else { 'L' });
        if !line.computed {
            let (low, high) = (y(samples.percentile(0.1)), y(samples.percentile(0.9)));
            let _ = writeln!(
                svg,
                "<line class=\"l{at}\" x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\"/>\
                 <circle class=\"f{at}\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"3.2\"/>"
            );
        }
    }
    let _ = writeln!(svg, "<path class=\"l l{at}\" d=\"{}\"{dashes}/>", path.trim_end());
    svg
}

/// Private memory of an instance, by what it carries and did. Each group begins with the program itself.
fn bars(top: f64, bars: &[Bar]) -> String {
    let own = |at: usize| bars[..=at].iter().rev().find(|bar| bar.own).map_or(0.0, |bar| bar.bytes.median());
    let goals: Vec<f64> = (0..bars.len()).map(|at| own(at) + GOAL_BYTES).collect();
    let Some(widest) = bars.iter().map(|bar| bar.bytes.median()).chain(goals.iter().copied()).reduce(f64::max) else {
        return String::new();
    };
    let scale = (BARS_RIGHT - BARS_LEFT) / widest;
    let title = "Private memory of one of many instances, kB";
    let mut svg = format!("<text class=\"title\" x=\"20\" y=\"{}\">{title}</text>\n", top + 24.0);
    let mut y = top + 34.0;
    for (bar, goal) in bars.iter().zip(goals) {
        y += if bar.own { 10.0 } else { 0.0 };
        svg.push_str(&named_bar(bar, goal, y, scale));
        y += 28.0;
    }
    let note = "upright stroke: the program itself and 64 KiB, which no pack is to pass";
    let _ = writeln!(svg, "<text class=\"note\" x=\"{BARS_LEFT}\" y=\"{}\">{note}</text>", y + 16.0);
    svg
}

fn named_bar(bar: &Bar, goal: f64, y: f64, scale: f64) -> String {
    let (bytes, middle) = (bar.bytes.median(), y + 13.5);
    let mut svg = format!(
        "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{}\" x=\"{BARS_LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"18\"/>\
         <text x=\"{:.1}\" y=\"{middle}\">{}</text>\n",
        BARS_LEFT - 10.0,
        escaped(&bar.name),
        if bar.own { "own" } else { "f0" },
        bytes * scale,
        BARS_LEFT + bytes * scale + 8.0,
        number(bytes / 1e3)
    );
    if !bar.own {
        let (x, from, to) = (BARS_LEFT + goal * scale, y - 4.0, y + 22.0);
        let _ = writeln!(
            svg,
            "<line class=\"goal\" x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\" stroke-width=\"2\"/>"
        );
    }
    svg
}

/// A tick's number without needless decimals.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_values() {
        let axis = Axis::linear("MB", &[3.0, 330.0]);
        assert_eq!((axis.ticks[0], axis.place(0.0)), (0.0, 0.0));
        assert!(axis.place(330.0) <= 1.0 && axis.ticks.len() <= 8, "{:?}", axis.ticks);
        let axis = Axis::decades("ms", &[4.0, 1600.0]);
        assert_eq!(axis.ticks, [1.0, 10.0, 100.0, 1000.0, 10000.0]);
        assert!((axis.place(100.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn an_empty_figure_is_still_one() {
        assert!(Figure::default().svg().ends_with("</svg>\n"));
        assert_eq!([plain(0.5), plain(100.0), escaped("a<b")], ["0.5", "100", "a&lt;b"]);
    }
}
