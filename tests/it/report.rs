//! Report pages as verbs make them, read back: one file, well formed, nothing from outside, nothing that is obeyed.
//!
//! The sample pages are left in the test directory of the target, for whoever wants to look at them.

mod samples;

use samples::{backtest, hostile, odd, replay};

#[test]
fn a_page_is_one_well_formed_file_that_takes_nothing_from_outside() {
    for (name, page) in [("replay", replay()), ("backtest", backtest()), ("odd", odd()), ("hostile", hostile())] {
        let html = page.render();
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(folder.join(format!("report-{name}.html")), &html).expect("a place for the sample page");
        std::fs::write(folder.join(format!("report-{name}.txt")), page.text(100)).expect("a place for its text");

        let tags = Tags::read(&html).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(tags.names.iter().filter(|tag| *tag == "svg").count() > 2, "{name}");
        assert_eq!(tags.names.iter().filter(|tag| *tag == "script").count(), 1, "{name}");
        for outside in ["<link", "<img", "<iframe", "@import", "src=", " style=", "javascript:"] {
            assert!(!html.contains(outside), "{name} holds {outside}");
        }
        let addresses = html.matches("http://").count() + html.matches("https://").count();
        assert_eq!(addresses, html.matches("http://www.w3.org/2000/svg").count(), "{name} names an address");
        assert!(html.contains("default-src 'none'"), "{name}");
        let mut ids = tags.ids.clone();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), tags.ids.len(), "{name} gives an id twice");
        for reference in &tags.references {
            assert!(ids.contains(reference), "{name} refers to {reference}");
        }
    }
}

#[test]
fn each_drawing_can_stand_alone() {
    let html = replay().render();
    let drawings: Vec<&str> = html.split("<svg class=\"plot").skip(1).collect();
    assert_eq!(drawings.len(), 4);
    for drawing in drawings {
        let text =
            format!("<svg class=\"plot{}</svg>\n", drawing.split("</svg>\n<p class=\"x axis\">").next().unwrap());
        assert!(text.contains("xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(text.contains("<title id=") && text.contains("<desc id="));
        Tags::read_xml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn what_others_wrote_stays_text() {
    let page = hostile();
    let html = page.render();
    assert!(!html.contains("<script>alert") && !html.contains("alert(\""), "{html}");
    assert!(html.contains("&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;&#39;&#38;"), "{html}");
    for text in [html, page.text(80)] {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\0']), "{text:?}");
    }
}

#[test]
fn the_text_of_a_page_keeps_to_its_width() {
    for page in [replay(), backtest(), odd(), hostile()] {
        for width in [20, 40, 80, 120] {
            let text = page.text(width);
            for line in text.lines() {
                assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{width}: {line}");
            }
        }
    }
    let text = backtest().text(100);
    for said in ["A threshold of 250 for deposits", "customers who are interrupted", "large_bet_placement", "▂"] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
}

/// The tags of a document, once it is known that each is closed where it should be.
#[derive(Default)]
struct Tags {
    names: Vec<String>,
    ids: Vec<String>,
    /// The ids that something refers to.
    references: Vec<String>,
}

impl Tags {
    /// Reads HTML that is as strict as XML, but for its first line, tags that have no end and the insides of styles and
    /// scripts.
    fn read(html: &str) -> Result<Self, String> {
        let html = html.strip_prefix("<!doctype html>\n").ok_or("no doctype")?;
        let (mut strict, mut rest) = (String::new(), html);
        while let Some(start) = ["<style>", "<script>"].iter().filter_map(|tag| Some(rest.find(tag)? + tag.len())).min()
        {
            strict.push_str(&rest[..start]);
            rest = &rest[start..];
            rest = &rest[rest.find("</").ok_or("a style or script without an end")?..];
        }
        strict.push_str(rest);
        Self::read_tags(&strict, &["meta"])
    }

    fn read_xml(xml: &str) -> Result<Self, String> {
        Self::read_tags(xml, &[])
    }

    fn read_tags(text: &str, endless: &[&str]) -> Result<Self, String> {
        let (mut tags, mut open) = (Self::default(), Vec::<String>::new());
        for (at, piece) in text.split('<').enumerate().map(|(at, piece)| (at, piece.trim_end())) {
            let (tag, after) = match (at, piece.split_once('>')) {
                (0, _) => ("", piece),
                (_, Some(both)) => both,
                (_, None) => return Err(format!("<{piece} is not closed")),
            };
            check_text(after)?;
            if let Some(name) = tag.strip_prefix('/') {
                let expected = open.pop().unwrap_or_default();
                if expected != name {
                    return Err(format!("</{name}> where </{expected}> belongs"));
                }
            } else if at > 0 {
                let (inside, closed) = tag.strip_suffix('/').map_or((tag, false), |inside| (inside, true));
                let name = tags.take(inside)?;
                if !closed && !endless.contains(&name.as_str()) {
                    open.push(name);
                }
            }
        }
        if open.is_empty() { Ok(tags) } else { Err(format!("{open:?} are open at the end")) }
    }

    /// Takes a tag's name and attributes in.
    fn take(&mut self, inside: &str) -> Result<String, String> {
        let (name, mut rest) = inside.split_once([' ', '\n']).unwrap_or((inside, ""));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("<{inside}> is no tag"));
        }
        let mut seen = Vec::new();
        while !rest.trim().is_empty() {
            let (key, after) = rest.trim_start().split_once("=\"").ok_or_else(|| format!("<{inside}>: {rest}"))?;
            let (value, after) = after.split_once('"').ok_or_else(|| format!("<{inside}>: {key} has no end"))?;
            let sound = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':'));
            if !sound || seen.contains(&key) {
                return Err(format!("<{inside}>: {key}"));
            }
            seen.push(key);
            check_text(value)?;
            match key {
                "id" => self.ids.push(value.to_owned()),
                "href" => self.references.push(value.strip_prefix('#').ok_or("it leads outside")?.to_owned()),
                "aria-labelledby" => self.references.extend(value.split(' ').map(str::to_owned)),
                _ => {}
            }
            rest = after;
        }
        self.names.push(name.to_owned());
        Ok(name.to_owned())
    }
}

/// Text has no `>`, and every `&` begins a reference by number.
fn check_text(text: &str) -> Result<(), String> {
    let sound = |rest: &str| {
        rest.strip_prefix('#')
            .and_then(|rest| rest.split_once(';'))
            .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    if text.contains('>') || !text.split('&').skip(1).all(sound) {
        Err(format!("{text:?} is not escaped"))
    } else {
        Ok(())
    }
}
