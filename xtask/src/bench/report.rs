//! The table: rows with a goal each, and the verdict, as Markdown for readers and JSON for machines.

use super::machine::Machine;
use super::samples::{Samples, number};
use serde_json::{Value, json};
use std::path::Path;

/// What a row should show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// weir's figure is at least this many times smaller than the stock one.
    TimesCheaper(f64),
    /// weir's figure is at most this many times the stock one; what is above 1 is room for noise.
    AtMost(f64),
    /// weir's figure is at most `.0` times another figure of weir's, `.1` in the same unit.
    TimesReference(f64, f64),
    /// Only for information.
    None,
}

/// One comparison.
pub struct Row {
    pub name: String,
    pub weir: Samples,
    pub stock: Samples,
    pub goal: Goal,
}

/// Rows that were measured in one way.
pub struct Part {
    pub title: &'static str,
    pub unit: &'static str,
    /// How it was measured, in a sentence or two.
    pub about: String,
    /// The commands, as they were run.
    pub commands: Vec<String>,
    pub rows: Vec<Row>,
}

/// Everything that was measured.
pub struct Report {
    pub machine: Machine,
    pub parts: Vec<Part>,
    /// Results that were not the same on both sides, and what could not be measured.
    pub problems: Vec<String>,
    /// What was left out because it is not on this machine.
    pub skipped: Vec<String>,
}

impl Row {
    /// How many times cheaper weir is.
    fn ratio(&self) -> f64 {
        self.stock.median() / self.weir.median()
    }

    /// Whether the goal is met; `None` where there is none.
    fn met(&self) -> Option<bool> {
        match self.goal {
            Goal::TimesCheaper(times) => Some(self.ratio() >= times),
            Goal::AtMost(times) => Some(self.weir.median() <= self.stock.median() * times),
            Goal::TimesReference(times, reference) => Some(self.weir.median() <= reference * times),
            Goal::None => None,
        }
    }

    fn goal_shown(&self) -> String {
        match self.goal {
            Goal::TimesCheaper(times) => format!("{times} times cheaper"),
            Goal::AtMost(times) => format!("at most {times} of stock"),
            Goal::TimesReference(times, reference) => format!("at most {times} × {}", number(reference)),
            Goal::None => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        }
    }
}

impl Report {
    pub fn new(machine: Machine) -> Self {
        Self { machine, parts: Vec::new(), problems: Vec::new(), skipped: Vec::new() }
    }

    fn verdicts(&self) -> (usize, usize) {
        let met = |wanted: bool| {
            self.parts.iter().flat_map(|part| &part.rows).filter(|row| row.met() == Some(wanted)).count()
        };
        (met(true), met(false))
    }

    /// The report for readers. Paths are written from the root of the checkout.
    pub fn markdown(&self, root: &Path) -> String {
        let (met, missed) = self.verdicts();
        let mut text = String::from(
            "# weir beside stock wasmtime\n\nMade by `cargo xtask bench run`. Median (10th – 90th percentile).\n\n",
        );
        text.push_str(&format!("**Goals: {met} met, {missed} missed.**\n\n"));
        let headings = [("Not the same on both sides", &self.problems), ("Left out", &self.skipped)];
        for (heading, lines) in headings.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            text.push_str(&format!("{heading}:\n\n"));
            lines.iter().for_each(|line| text.push_str(&format!("- {line}\n")));
            text.push('\n');
        }
        for part in &self.parts {
            text.push_str(&format!("## {}\n\n{}\n\n", part.title, part.about));
            text.push_str(&format!(
                "| | weir, {0} | stock, {0} | stock ÷ weir | goal | |\n|---|---|---|---|---|---|\n",
                part.unit
            ));
            for row in &part.rows {
                let (name, weir, stock) = (&row.name, row.weir.shown(), row.stock.shown());
                let ratio = number(row.ratio());
                text.push_str(&format!(
                    "| {name} | {weir} | {stock} | {ratio} | {} | {} |\n",
                    row.goal_shown(),
                    row.verdict()
                ));
            }
            text.push_str("\n```\n");
            part.commands.iter().for_each(|command| text.push_str(&format!("{}\n", from_root(command, root))));
            text.push_str("```\n\n");
        }
        text.push_str("## Machine\n\n");
        self.machine.iter().for_each(|(name, value)| text.push_str(&format!("- {name}: {value}\n")));
        text
    }

    /// The report with every sample.
    pub fn json(&self, root: &Path) -> Value {
        let row = |row: &Row| {
            json!({
                "name": row.name, "weir": row.weir.values(), "stock": row.stock.values(),
                "goal": row.goal_shown(), "met": row.met(),
            })
        };
        let part = |part: &Part| {
            let commands: Vec<String> = part.commands.iter().map(|command| from_root(command, root)).collect();
            let rows: Vec<Value> = part.rows.iter().map(row).collect();
            json!({ "title": part.title, "unit": part.unit, "about": part.about, "commands": commands, "rows": rows })
        };
        let machine: serde_json::Map<String, Value> =
            self.machine.iter().map(|(name, value)| ((*name).to_string(), json!(value))).collect();
        json!({
            "machine": machine,
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
            "problems": self.problems, "skipped": self.skipped,
        })
    }
}

fn from_root(command: &str, root: &Path) -> String {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/nowhere".into());
    command.replace(&format!("{}/", root.display()), "").replace(&home, "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(weir: f64, stock: f64, goal: Goal) -> Row {
        let sample = |value| {
            let mut samples = Samples::default();
            samples.push(value);
            samples
        };
        Row { name: "x".into(), weir: sample(weir), stock: sample(stock), goal }
    }

    #[test]
    fn goals_are_judged() {
        assert_eq!(row(10.0, 150.0, Goal::TimesCheaper(15.0)).met(), Some(true));
        assert_eq!(row(10.0, 149.0, Goal::TimesCheaper(15.0)).met(), Some(false));
        assert_eq!(row(10.4, 10.0, Goal::AtMost(1.05)).met(), Some(true));
        assert_eq!(row(10.6, 10.0, Goal::AtMost(1.05)).met(), Some(false));
        assert_eq!(row(79.0, 1000.0, Goal::TimesReference(2.0, 40.0)).met(), Some(true));
        assert_eq!(row(1.0, 1.0, Goal::None).verdict(), "");
    }

    #[test]
    fn the_table_names_no_path_of_this_machine() {
        let mut report = Report::new(vec![("CPUs", "2".into())]);
        let rows = vec![row(1.0, 2.0, Goal::TimesCheaper(2.0))];
        let commands = vec!["/checkout/target/weir run a".to_string()];
        report.parts.push(Part { title: "T", unit: "ns", about: "A.".into(), commands, rows });
        let text = report.markdown(Path::new("/checkout"));
        assert!(text.contains("Goals: 1 met, 0 missed") && text.contains("\ntarget/weir run a\n"), "{text}");
        assert!(
            text.contains("| x | 1.00 (1.00 – 1.00) | 2.00 (2.00 – 2.00) | 2.00 | 2 times cheaper | met |"),
            "{text}"
        );
    }
}
