//! A picture of what a command prints, for the docs: an SVG that any browser shows, made of the text and its colours.

use crate::command::say;
use anyhow::{Context, ensure};
use std::{
    fmt::Write,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// File in docs/pictures, without .svg
    name: String,
    /// What stands in its first line, such as `tidegate plugin list`
    #[arg(long)]
    title: String,
    /// Whatever its exit code
    #[arg(long)]
    may_fail: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Pixels of a character and a line, and around all of it.
const CELL: (f32, f32) = (8.4, 20.0);
const MARGIN: f32 = 16.0;

/// Runs the command and writes the picture.
///
/// # Errors
/// If it cannot be run or fails, or the file cannot be written.
pub(crate) fn take(options: &Options) -> anyhow::Result<()> {
    let (program, arguments) = options.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    let output = command.args(arguments).env("CLICOLOR_FORCE", "1").stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    ensure!(options.may_fail || output.status.success(), "{program}: {}", output.status);
    let text = String::from_utf8(output.stdout).context("its output is no text")?;
    let folder = crate::root().join("docs/pictures");
    fs::create_dir_all(&folder)?;
    let file: PathBuf = folder.join(&options.name).with_extension("svg");
    fs::write(&file, picture(&options.title, text.trim_end()))?;
    say(format_args!("{}", file.display()));
    Ok(())
}

fn picture(title: &str, text: &str) -> String {
    let mut lines = vec![vec![Run { text: format!("$ {title}"), style: "b" }]];
    lines.extend(text.lines().map(runs));
    let columns = lines.iter().map(|line| line.iter().map(|run| run.text.chars().count()).sum()).max();
    let width = columns.unwrap_or(0usize) as f32 * CELL.0 + 2.0 * MARGIN;
    let height = lines.len() as f32 * CELL.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <style>text{{fill:#d8dee9;white-space:pre}} .b{{font-weight:bold}} .green{{fill:#a3be8c}} .red{{fill:#ff6b70;font-weight:bold}} .yellow{{fill:#ebcb8b}} .cyan{{fill:#88c0d0}} .dim{{fill:#7b8496}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#242933\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + (row as f32 + 0.75) * CELL.1;
        let mut column = 0;
        for run in line {
            let x = MARGIN + column as f32 * CELL.0;
            let cells = run.text.chars().count();
            column += cells;
            if run.text.trim().is_empty() {
                continue;
            }
            // Wherever the reader's font differs, columns stay columns.
            let length = cells as f32 * CELL.0;
            let class =
                if run.style.is_empty() { String::new() } else { format!(" class=\"{}\"", run.style) };
            // A String takes everything.
            _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"{class}>{}</text>",
                escaped(&run.text)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text of one style.
#[derive(Debug, PartialEq)]
struct Run {
    text: String,
    style: &'static str,
}

/// A line apart at its escape sequences.
fn runs(line: &str) -> Vec<Run> {
    let mut pieces = line.split("\x1b[");
    let mut runs = vec![Run { text: pieces.next().unwrap_or_default().to_owned(), style: "" }];
    for piece in pieces {
        let (code, text) = piece.split_once('m').unwrap_or(("", piece));
        let style = match code {
            "2" => "dim",
            "32" | "32;1" => "green",
            "31" | "31;1" => "red",
            "33" => "yellow",
            "36" => "cyan",
            _ => "",
        };
        runs.push(Run { text: text.to_owned(), style });
    }
    runs.retain(|run| !run.text.is_empty());
    runs
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_text_is_escaped() {
        let run = |text: &str, style| Run { text: text.to_owned(), style };
        assert_eq!(runs("a \x1b[32mok\x1b[0m <b>"), [run("a ", ""), run("ok", "green"), run(" <b>", "")]);
        let picture = picture("x", "\x1b[31;1mWRONG\x1b[0m <b>");
        assert!(picture.contains("class=\"red\">WRONG</text>") && picture.contains("&lt;b&gt;"), "{picture}");
        assert!(picture.contains(">$ x</text>"));
    }
}
