//! The grammar as pages of the reference, one per command.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::{args::Cli, error::CODES, places::contexts::KEYS};

/// File names and texts of all pages, sorted by name.
pub fn pages() -> Vec<(String, String)> {
    let mut program = Cli::command();
    program.build();
    let mut pages: Vec<(String, String)> = shown(&program).map(|command| (file(command), page(command))).collect();
    pages.push(("README.md".into(), index(&program)));
    pages.sort();
    pages
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help")
}

fn file(command: &Command) -> String {
    format!("{}.md", command.get_name())
}

fn index(program: &Command) -> String {
    let mut out =
        "# connectctl\n\nMade from the definitions in the code; `cargo xtask docs` makes it anew.\n\n".to_owned();
    for command in shown(program) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "- [`{}`]({}): {}", command.get_name(), file(command), about(command));
    }
    out.push_str("\n## Options of every command\n");
    options(&mut out, program, |arg| arg.is_global_set());
    out.push_str(
        "\nEach address comes from the first that names it: the option, the environment, the context, and for Kafka and the \
         registry the worker itself (`GET /worker`). Credentials of a context are sent to its own addresses only.\n",
    );
    out.push_str("\n## Exit codes\n\n| Code | Meaning |\n|---|---|\n");
    for (code, meaning) in CODES {
        let _ = writeln!(out, "| {code} | {} |", cell(meaning));
    }
    out.push_str(
        "\n## Names\n\nWhere a command takes names, `'*-sink'` and the like select as a shell does, and `/REGEX/` what the \
         regular expression matches somewhere. A connector whose name is what was written is taken, whatever it looks like.\n",
    );
    out.push_str("\n## Keys of a context\n\n| Key | Meaning |\n|---|---|\n");
    for (key, meaning) in KEYS {
        let _ = writeln!(out, "| `{key}` | {} |", cell(meaning));
    }
    out
}

fn page(command: &Command) -> String {
    let mut out = String::new();
    section(&mut out, command, 1, "connectctl");
    out.push_str("\nOptions of every command are on the page [connectctl](README.md).\n");
    out
}

fn section(out: &mut String, command: &Command, level: usize, path: &str) {
    let path = format!("{path} {}", command.get_name());
    let _ = writeln!(out, "{} {path}\n\n{}", "#".repeat(level), about(command));
    if let Some(long) = command.get_long_about() {
        let long = long.to_string();
        let rest = long.split_once("\n\n").map_or("", |(_, rest)| rest);
        if !rest.is_empty() {
            let _ = writeln!(out, "\n{rest}");
        }
    }
    let inner: Vec<&Command> = shown(command).collect();
    if inner.is_empty() {
        let usage = command.clone().bin_name(&path).render_usage().to_string();
        let _ = writeln!(out, "\n```\n{}\n```", usage.trim_start_matches("Usage: "));
        options(out, command, |arg| !arg.is_global_set());
    }
    if let Some(help) = command.get_after_help() {
        let _ = writeln!(out, "\n```\n{help}\n```");
    }
    for command in inner {
        out.push('\n');
        section(out, command, level + 1, &path);
    }
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn options(out: &mut String, command: &Command, wanted: impl Fn(&Arg) -> bool) {
    let hidden = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let all: Vec<&Arg> = command.get_arguments().filter(hidden).filter(|arg| wanted(arg)).collect();
    if all.is_empty() {
        return;
    }
    out.push_str("\n| Argument | Default | Meaning |\n|---|---|---|\n");
    for arg in all {
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let default: Vec<String> =
            arg.get_default_values().iter().filter(|_| !switch).map(|v| format!("`{}`", v.to_string_lossy())).collect();
        let _ = writeln!(out, "| {} | {} | {} |", spelled(arg), default.join(", "), cell(&meaning(arg)));
    }
}

fn spelled(arg: &Arg) -> String {
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if arg.is_positional() {
        return format!("`{}`", cell(&values));
    }
    let mut names: Vec<String> = arg.get_short().map(|c| format!("-{c}")).into_iter().collect();
    names.extend(arg.get_long().map(|name| format!("--{name}")));
    let value = if takes { format!(" {values}") } else { String::new() };
    if takes && arg.is_require_equals_set() {
        return format!("`{}[={}]`", names.join(", "), cell(&values));
    }
    let value = if value.trim().is_empty() { String::new() } else { format!(" {}", cell(&value)) };
    format!("`{}{value}`", names.join(", "))
}

fn meaning(arg: &Arg) -> String {
    let text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = text.trim_end_matches('.').to_owned();
    let possible: Vec<String> = arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
    let switch = matches!(arg.get_action(), ArgAction::SetTrue);
    if !possible.is_empty() && !switch {
        let _ = write!(text, ": {}", possible.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(text, "; also `${}`", variable.to_string_lossy());
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "&lt;")
}
