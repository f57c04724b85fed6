//! Words of command lines that are suggested: whoever copies them into a shell gets the name that was meant.

/// The text as one word of a command line, in quotes where a shell would make something else of it.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:@%+=/".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Several of them, separated by blanks.
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let all = [
            "a-b.c", "/tmp/a,b", "a b", "it's", "$HOME", "a\"b", "`id`", "~", "a*?[b]", "#a", "a;b&c|d", "\\", "!x",
            "é", "",
        ];
        let script = format!("printf '%s\\n' {}", words(all));
        let run = std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh");
        let read = String::from_utf8(run.stdout).expect("UTF-8");
        assert_eq!(read.lines().collect::<Vec<_>>(), all);
        assert_eq!(words(["influxdb-sink", "a b"]), "influxdb-sink 'a b'");
    }
}
