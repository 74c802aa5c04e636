//! The pages in a real browser: what it makes of them, at the width of a telephone and of a desk, in light and dark.

use std::path::Path;
use std::time::Duration;

use crate::services::{Child, directory, environment};
use crate::stack::{PATIENCE, Stack, event, just_now};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true}}"#;

/// The programs that are looked for, in this order; `STEPUP_TEST_BROWSER` names another.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn browser() -> String {
    if let Some(named) = environment("STEPUP_TEST_BROWSER") {
        return named;
    }
    let path = environment("PATH").unwrap();
    let found = BROWSERS.iter().find(|name| path.split(':').any(|folder| Path::new(folder).join(name).is_file()));
    (*found.expect("a browser is needed: chromium")).to_owned()
}

/// What the browser made of an address: the page as it stands once it is loaded, and what the browser said meanwhile.
fn seen(url: &str, dark: bool) -> (String, String) {
    let home = directory("browser");
    let profile = format!("--user-data-dir={}", home.path().join("profile").display());
    let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
    let args = [
        "--headless=new",
        // The page comes from this test, and a container mostly forbids what the sandbox needs.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        &profile,
        &scheme,
        "--dump-dom",
        url,
    ];
    let home_variable = home.path().display().to_string();
    let mut child = Child::spawn(home.path(), &browser(), &args, &[("HOME", &home_variable)]);
    let status = child.wait_exit(PATIENCE);
    let (page, said) = (child.stdout(), child.stderr());
    assert!(status.success() && page.contains("</html>"), "{status}: {said}");
    // Of what the browser says only that counts which it says of the page.
    let of_the_page: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    (page, of_the_page.join("\n"))
}

/// What a page looks like in a frame of a width: how far it is wider than that, and its colour.
fn measured(page: &Path, width: u32, dark: bool) -> (i64, String) {
    let frame = page.with_extension(format!("{width}.frame.html"));
    let text = format!(
        r#"<html><body><iframe id="it" src="{}" style="border:0;width:{width}px;height:3000px"></iframe><p id="told"></p><script>
        window.onload = () => {{
          const it = document.getElementById("it").contentDocument, root = it.documentElement;
          const over = root.scrollWidth - root.clientWidth, colour = getComputedStyle(it.body).backgroundColor;
          const paper = colour === "rgba(0, 0, 0, 0)" ? getComputedStyle(root).backgroundColor : colour;
          document.getElementById("told").textContent = `told:${{over}};${{paper}};`;
        }};
        </script></body></html>"#,
        page.file_name().unwrap().display(),
    );
    std::fs::write(&frame, text).unwrap();
    let (page, _) = seen(&format!("file://{}", frame.display()), dark);
    let told = page.rsplit_once(">told:").unwrap_or_else(|| panic!("nothing was measured: {page}")).1;
    let mut parts = told.split(';');
    (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().to_owned())
}

#[track_caller]
fn fits_and_has_two_colours(page: &Path) {
    let light = measured(page, 400, false);
    let dark = measured(page, 1400, true);
    assert!(light.0 <= 0 && dark.0 <= 0, "{}: wider than its place: {light:?} {dark:?}", page.display());
    assert_ne!(light.1, dark.1, "light and dark are the same");
}

#[test]
fn the_console_shows_what_was_decided_and_why_and_hides_who_it_was() {
    let stack = Stack::new("browser", 1, &[("acme", ON)]);
    let processor = stack.run("evaluate,dispatch");
    let customer = "<b>mallory</b>";
    stack.produce(&[
        event("acme", customer, "first", "password_change", &just_now(), ""),
        event("acme", customer, "second", "password_change", &just_now(), ""),
        event("acme", customer, "third", "bet", &just_now(), r#","amount":"many""#),
    ]);
    stack.outcomes(1);
    processor.until_ready();
    let (page, complaints) = seen(&processor.address("/?still"), false);
    assert_eq!(complaints, "", "the browser refuses something of the page");
    for words in ["password_change", "required", "in_cooldown", "fired at", "acme", "invalid_field", "session_created"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("mallory") && !page.contains(">first<"), "a customer is named");
    let saved = stack.directory.path().join("console.html");
    std::fs::write(&saved, page).unwrap();
    fits_and_has_two_colours(&saved);
}

#[test]
fn a_console_that_shows_who_it_was_takes_a_name_for_a_text() {
    let stack = Stack::new("named", 1, &[("acme", ON)]);
    let processor = stack.run_with("evaluate,dispatch", &[("STEPUP__HTTP__CONSOLE_IDS", "shown")]);
    stack.produce(&[event("acme", "<script>alert(1)</script>", "first", "password_change", &just_now(), "")]);
    stack.outcomes(1);
    let (page, complaints) = seen(&processor.address("/?still"), true);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert_eq!(complaints, "");
}

#[test]
fn a_report_is_a_picture_in_the_browser() {
    let home = directory("report");
    let root = home.path();
    std::fs::create_dir(root.join("preferences")).unwrap();
    std::fs::write(root.join("preferences/acme.json"), ON).unwrap();
    let line = |number: u32| {
        let (customer, minute) = (number % 7, number / 60);
        let at = format!("2026-03-01T12:{minute:02}:{:02}Z", number % 60);
        event("acme", &format!("c{customer}"), &format!("e{number}"), "password_change", &at, "").1
    };
    let events: Vec<String> = (0..600).map(line).collect();
    std::fs::write(root.join("events.ndjson"), events.join("\n")).unwrap();
    let path = |name: &str| root.join(name).display().to_string();
    let report = path("report.html");
    let (events, preferences) = (path("events.ndjson"), path("preferences"));
    let args = ["backtest", "--events", &events, "--preferences", &preferences, "--against", &preferences];
    let args: Vec<&str> = args.into_iter().chain(["--report", &report]).collect();
    let mut process = crate::services::StepupProcess::start(&args, &[]);
    assert!(process.wait_exit(Duration::from_secs(60)).success(), "{}", process.stderr());
    let (page, complaints) = seen(&format!("file://{report}"), true);
    assert!(page.contains("<svg") && page.contains("password_change"), "{page}");
    assert_eq!(complaints, "");
    fits_and_has_two_colours(Path::new(&report));
}
