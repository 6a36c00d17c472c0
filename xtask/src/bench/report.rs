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
    /// weir's figure, of which more is better, is at least this many times the other one.
    AtLeast(f64),
    /// weir's figure is at most `.0` times another figure of weir's, `.1` in the same unit.
    TimesReference(f64, f64),
    /// weir's figure is at most this much above the other one, in the same unit.
    AtMostMore(f64),
    /// Only for information.
    None,
}

/// What the two columns of a comparison hold, where it is weir beside the stock command line.
pub const WEIR_AND_STOCK: [&str; 2] = ["weir", "stock"];

/// One comparison.
pub struct Row {
    pub name: String,
    pub weir: Samples,
    /// What weir's figure is held against.
    pub other: Samples,
    pub goal: Goal,
}

/// Figures that are not two beside each other.
#[derive(Default)]
pub struct Table {
    pub headings: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Rows that were measured in one way.
pub struct Part {
    pub title: &'static str,
    pub unit: &'static str,
    /// What is compared, in a word or two each.
    pub sides: [&'static str; 2],
    /// How it was measured, in a sentence or two.
    pub about: String,
    /// The commands, as they were run.
    pub commands: Vec<String>,
    pub table: Option<Table>,
    pub rows: Vec<Row>,
}

/// Everything that was measured.
pub struct Report {
    pub title: &'static str,
    /// What makes it.
    pub command: &'static str,
    pub machine: Machine,
    pub parts: Vec<Part>,
    /// Results that were not the same on both sides, and what could not be measured.
    pub problems: Vec<String>,
    /// What was left out because it is not on this machine.
    pub skipped: Vec<String>,
}

impl Row {
    /// How many times cheaper weir is; of speeds, how many times slower.
    fn ratio(&self) -> f64 {
        self.other.median() / self.weir.median()
    }

    /// Whether the goal is met; `None` where there is none.
    fn met(&self) -> Option<bool> {
        match self.goal {
            Goal::TimesCheaper(times) => Some(self.ratio() >= times),
            Goal::AtMost(times) => Some(self.weir.median() <= self.other.median() * times),
            Goal::AtLeast(times) => Some(self.weir.median() >= self.other.median() * times),
            Goal::TimesReference(times, reference) => Some(self.weir.median() <= reference * times),
            Goal::AtMostMore(more) => Some(self.weir.median() <= self.other.median() + more),
            Goal::None => None,
        }
    }

    fn goal_shown(&self, other: &str) -> String {
        match self.goal {
            Goal::TimesCheaper(times) => format!("{times} times cheaper"),
            Goal::AtMost(times) => format!("at most {times} of {other}"),
            Goal::AtLeast(times) => format!("at least {times} of {other}"),
            Goal::TimesReference(times, reference) => format!("at most {times} × {}", number(reference)),
            Goal::AtMostMore(more) => format!("at most {} more", number(more)),
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
    pub fn new(title: &'static str, command: &'static str, machine: Machine) -> Self {
        Self { title, command, machine, parts: Vec::new(), problems: Vec::new(), skipped: Vec::new() }
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
        let mut text = format!(
            "# {}\n\nMade by `cargo xtask {}`. Median (10th – 90th percentile).\n\n**Goals: {met} met, {missed} missed.**\n\n",
            self.title, self.command
        );
        let headings = [("Not the same on both sides", &self.problems), ("Left out", &self.skipped)];
        for (heading, lines) in headings.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            text.push_str(&format!("{heading}:\n\n"));
            lines.iter().for_each(|line| text.push_str(&format!("- {line}\n")));
            text.push('\n');
        }
        self.parts.iter().for_each(|part| text.push_str(&part.markdown(root)));
        text.push_str("## Machine\n\n");
        self.machine.iter().for_each(|(name, value)| text.push_str(&format!("- {name}: {value}\n")));
        text
    }

    /// The report with every sample.
    pub fn json(&self, root: &Path) -> Value {
        let part = |part: &Part| part.json(root);
        let machine: serde_json::Map<String, Value> =
            self.machine.iter().map(|(name, value)| ((*name).to_string(), json!(value))).collect();
        json!({
            "machine": machine,
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
            "problems": self.problems, "skipped": self.skipped,
        })
    }
}

impl Part {
    fn markdown(&self, root: &Path) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.about);
        if let Some(table) = &self.table {
            text.push_str(&table.markdown());
        }
        if !self.rows.is_empty() {
            text.push_str(&self.comparisons().markdown());
        }
        text.push_str("```\n");
        self.commands.iter().for_each(|command| text.push_str(&format!("{}\n", from_root(command, root))));
        text.push_str("```\n\n");
        text
    }

    fn comparisons(&self) -> Table {
        let ([weir, other], unit) = (self.sides, self.unit);
        let headings = [
            String::new(),
            format!("{weir}, {unit}"),
            format!("{other}, {unit}"),
            format!("{other} ÷ {weir}"),
            "goal".into(),
            String::new(),
        ];
        let cells = |row: &Row| {
            let figures = [row.weir.shown(), row.other.shown(), number(row.ratio())];
            let verdict = [row.goal_shown(other), row.verdict().into()];
            std::iter::once(row.name.clone()).chain(figures).chain(verdict).collect()
        };
        Table { headings: headings.into(), rows: self.rows.iter().map(cells).collect() }
    }

    fn json(&self, root: &Path) -> Value {
        let row = |row: &Row| {
            json!({
                "name": row.name, "weir": row.weir.values(), "other": row.other.values(),
                "goal": row.goal_shown(self.sides[1]), "met": row.met(),
            })
        };
        let commands: Vec<String> = self.commands.iter().map(|command| from_root(command, root)).collect();
        let table = self.table.as_ref().map(|table| json!({ "headings": table.headings, "rows": table.rows }));
        json!({
            "title": self.title, "unit": self.unit, "sides": self.sides, "about": self.about, "commands": commands,
            "table": table, "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

impl Table {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.headings.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}{rule}{rows}\n", line(&self.headings))
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
        Row { name: "x".into(), weir: Samples::one(weir), other: Samples::one(stock), goal }
    }

    #[test]
    fn goals_are_judged() {
        assert_eq!(row(10.0, 150.0, Goal::TimesCheaper(15.0)).met(), Some(true));
        assert_eq!(row(10.0, 149.0, Goal::TimesCheaper(15.0)).met(), Some(false));
        assert_eq!(row(10.4, 10.0, Goal::AtMost(1.05)).met(), Some(true));
        assert_eq!(row(10.6, 10.0, Goal::AtMost(1.05)).met(), Some(false));
        assert_eq!(row(2.5, 5.0, Goal::AtLeast(0.5)).met(), Some(true));
        assert_eq!(row(2.4, 5.0, Goal::AtLeast(0.5)).met(), Some(false));
        assert_eq!(row(79.0, 1000.0, Goal::TimesReference(2.0, 40.0)).met(), Some(true));
        assert_eq!(row(15.0, 10.0, Goal::AtMostMore(5.0)).met(), Some(true));
        assert_eq!(row(15.1, 10.0, Goal::AtMostMore(5.0)).met(), Some(false));
        assert_eq!(row(1.0, 1.0, Goal::None).verdict(), "");
    }

    #[test]
    fn the_table_names_no_path_of_this_machine() {
        let mut report = Report::new("A title", "bench x", vec![("CPUs", "2".into())]);
        let rows = vec![row(1.0, 2.0, Goal::TimesCheaper(2.0))];
        let commands = vec!["/checkout/target/weir run a".to_string()];
        report.parts.push(Part {
            title: "T",
            unit: "ns",
            sides: WEIR_AND_STOCK,
            about: "A.".into(),
            commands,
            table: None,
            rows,
        });
        let text = report.markdown(Path::new("/checkout"));
        assert!(text.contains("Goals: 1 met, 0 missed") && text.contains("\ntarget/weir run a\n"), "{text}");
        assert!(text.contains("| x | 1.00 | 2.00 | 2.00 | 2 times cheaper | met |"), "{text}");
    }
}
