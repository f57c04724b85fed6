//! Runs the program on a file and compares what it says.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tocsin_tests::{program, wait};

pub(crate) const WORKER: i32 = 2;
pub(crate) const CONNECTOR: i32 = 3;

/// Must never be seen in what is printed.
pub(crate) const SECRET: &str = "s3cret";

/// `{dir}` in the text is the folder of the file.
pub(crate) struct Case {
    pub(crate) file: &'static str,
    pub(crate) text: &'static [u8],
    /// What stderr must hold, besides the file's name: where it is wrong, what is wrong, the way out.
    pub(crate) says: &'static [&'static str],
}

pub(crate) fn connectd(arguments: &[&str]) -> Output {
    let mut child = Command::new(program("connectd"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting connectd");
    // What is printed here fits into a pipe.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait(&format!("connectd {arguments:?} to refuse"), Duration::from_secs(20), || child.try_wait().expect("wait"))
    }));
    if done.is_err() {
        child.kill().expect("kill");
    }
    let output = child.wait_with_output().expect("output");
    assert!(done.is_ok(), "connectd {arguments:?} goes on: {}", String::from_utf8_lossy(&output.stderr));
    output
}

pub(crate) fn write(dir: &Path, case: &Case) -> String {
    fs::write(dir.join("store"), b"\xFE\xED\xFE\xED\x00\x00\x00\x02").expect("store");
    fs::write(dir.join("secrets"), format!("ms={SECRET}\n")).expect("secrets");
    let path = dir.join(case.file);
    let text = match std::str::from_utf8(case.text) {
        Ok(text) => text.replace("{dir}", &dir.to_string_lossy()).into_bytes(),
        Err(_) => case.text.to_vec(),
    };
    fs::write(&path, text).expect("file");
    path.to_string_lossy().into_owned()
}

/// Everything that is wrong with the refusal of one file.
pub(crate) fn complaints(case: &Case, code: i32, arguments: &[&str]) -> Vec<String> {
    let output = connectd(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut wrong = Vec::new();
    if output.status.code() != Some(code) {
        wrong.push(format!("exit code {:?} and not {code}", output.status.code()));
    }
    for part in case.says.iter().chain([&case.file]).filter(|part| !said.contains(**part)) {
        wrong.push(format!("does not say {part:?}"));
    }
    if said.contains(SECRET) || said.contains("panicked") || said.contains('\u{1b}') {
        wrong.push("says what it must not".into());
    }
    let mut lines: Vec<&str> = said.lines().filter(|l| l.starts_with("connectd: ")).collect();
    if lines.is_empty() || lines.iter().any(|l| l.len() < 30) {
        wrong.push("says too little".into());
    }
    lines.sort_unstable();
    if lines.windows(2).any(|pair| pair[0] == pair[1]) {
        wrong.push("says something twice".into());
    }
    wrong.iter().map(|w| format!("{}: {w}:\n{said}", case.file)).collect()
}

pub(crate) fn check(cases: &[Case], code: i32) {
    let mut wrong = Vec::new();
    for case in cases {
        let dir = tempfile::tempdir().expect("folder");
        let path = write(dir.path(), case);
        let arguments = if code == WORKER { vec!["--check", "-c", &path] } else { vec!["--check", &path] };
        wrong.extend(complaints(case, code, &arguments));
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
