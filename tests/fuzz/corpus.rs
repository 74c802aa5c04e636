//! What inputs begin as.

use std::path::Path;

/// Every example of a schema, good and bad.
pub(crate) fn examples(schema: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples").join(schema), &mut found);
    assert!(!found.is_empty(), "no example of {schema}");
    found.sort();
    found.into_iter().map(|path| std::fs::read(path).unwrap().trim_ascii_end().to_vec()).collect()
}

fn collect(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

/// The same as records of headers: a line `name: value` each.
pub(crate) fn header_examples(schema: &str) -> Vec<Vec<u8>> {
    let headers = |bytes: Vec<u8>| {
        let record: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let lines = record["headers"].as_object()?.iter();
        Some(lines.map(|(name, value)| format!("{name}: {}\n", value.as_str().unwrap_or_default())).collect::<String>())
    };
    examples(schema).into_iter().filter_map(headers).map(String::into_bytes).collect()
}

/// Inputs written here.
pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
