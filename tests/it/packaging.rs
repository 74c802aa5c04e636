//! What the container image is built from.

use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The instructions of a Dockerfile, each on one line.
fn instructions(dockerfile: &str) -> Vec<String> {
    let code: Vec<&str> = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    code.join("\n").replace("\\\n", " ").lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// The paths that the build context must have: the sources of every COPY that takes from no other stage.
fn copied(instruction: &str) -> Vec<&str> {
    let mut words = instruction.split_whitespace();
    if words.next() != Some("COPY") || instruction.contains("--from=") {
        return Vec::new();
    }
    let mut paths: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
    paths.pop();
    paths
}

#[test]
fn the_image_is_built_from_files_that_exist_and_are_not_ignored() {
    let dockerfile = read("Dockerfile");
    let ignored = read(".dockerignore");
    let instructions = instructions(&dockerfile);
    let paths: Vec<&str> = instructions.iter().flat_map(|instruction| copied(instruction)).collect();
    assert!(paths.contains(&"Cargo.lock"), "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "COPY {path}: it does not exist");
        let allowed = ignored.lines().any(|line| line.strip_prefix('!') == Some(path.trim_end_matches('/')));
        assert!(allowed, "COPY {path}: .dockerignore keeps it out of the build");
    }
}

#[test]
fn everything_that_the_build_reads_is_copied() {
    let instructions = instructions(&read("Dockerfile"));
    let copied: Vec<&str> = instructions.iter().flat_map(|instruction| copied(instruction)).collect();
    let sources = crate::architecture::sources();
    let included: Vec<(PathBuf, String)> = sources
        .iter()
        .flat_map(|(file, text)| included(text).map(|path| (file.clone(), path.to_owned())))
        .map(|(file, path)| (root().join("src").join(file), path))
        .collect();
    for (file, path) in included {
        let whole = file.parent().expect("a folder").join(&path).canonicalize().expect("an included file");
        let inside = whole.strip_prefix(root().canonicalize().expect("the package")).expect("a file of the package");
        let first = inside.iter().next().and_then(|first| first.to_str()).expect("a path");
        assert!(copied.contains(&first), "{} includes {path}, and no COPY brings it: {copied:?}", file.display());
    }
}

/// The files that a source takes in as it is compiled.
fn included(source: &str) -> impl Iterator<Item = &str> {
    let calls = source.split("include_str!(\"").skip(1).chain(source.split("include_bytes!(\"").skip(1));
    calls.filter_map(|rest| rest.split('"').next())
}

#[test]
fn the_manifest_can_be_read_where_tests_and_benchmarks_are_missing() {
    // Cargo looks for the file of a target that it was not asked to build, unless its path is given.
    assert_eq!(targets_without_path(&read("Cargo.toml")), [""; 0]);
    let manifest = "[[bench]]\nname = \"a\"\npath = \"a.rs\"\n\n[[test]]\nname = \"b\"\n[lints]\npath = \"c\"\n";
    assert_eq!(targets_without_path(manifest), ["[[test]] name = \"b\""]);
}

/// The sections of a manifest that name a target and not where it is.
fn targets_without_path(manifest: &str) -> Vec<String> {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match sections.last_mut() {
            Some(section) if !line.starts_with('[') => section.push(line),
            _ => sections.push(vec![line]),
        }
    }
    sections
        .into_iter()
        .filter(|section| ["[[bench]]", "[[test]]", "[[example]]"].contains(&section[0]))
        .filter(|section| !section.iter().any(|line| line.starts_with("path")))
        .map(|section| section.join(" "))
        .collect()
}

#[test]
fn the_image_is_built_by_the_rust_that_the_package_names() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a rust-version");
    let base = format!("FROM rust:{}-bookworm AS build", version.trim_matches('"'));
    let instructions = instructions(&read("Dockerfile"));
    assert!(instructions.contains(&base), "{base} is missing in {instructions:?}");
}

#[test]
fn the_image_runs_the_binary_without_privileges() {
    let instructions = instructions(&read("Dockerfile"));
    let last = instructions.iter().rposition(|line| line.starts_with("FROM ")).expect("a stage");
    assert_eq!(instructions[last], "FROM gcr.io/distroless/cc-debian12:nonroot");
    assert_eq!(instructions.last().map(String::as_str), Some(r#"ENTRYPOINT ["/usr/local/bin/stepup"]"#));
    let user = instructions[last..].iter().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    // Kubernetes can tell that a user is not root only by its number.
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
}

#[test]
fn the_reading_of_a_dockerfile_and_of_the_source_sees_what_is_taken_in() {
    let read = instructions("# COPY no yes\nFROM a AS b\nCOPY --chown=1:1 one two \\\n  ./\nCOPY --from=b /x /y\n");
    assert_eq!(read.len(), 3);
    assert_eq!(read.iter().flat_map(|line| copied(line)).collect::<Vec<_>>(), ["one", "two"]);
    let source = r#"const A: &str = include_str!("../a.json"); const B: &[u8] = include_bytes!("b");"#;
    assert_eq!(included(source).collect::<Vec<_>>(), ["../a.json", "b"]);
}
