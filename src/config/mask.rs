//! What is not shown: passwords within URLs, and the values of properties that are secrets.

/// Stands for a secret.
pub(super) const MASK: &str = "***";
const SHOWN: usize = 80;

/// Whether the value under this path is a secret by its name. Only librdkafka's properties have names that we do not know.
pub(super) fn is_secret(path: &str) -> bool {
    path.strip_prefix("kafka.properties.").is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        ["password", "secret", "token", "private"].iter().any(|part| name.contains(part))
            || name == "ssl.key.pem"
            || name == "sasl.oauthbearer.config"
    })
}

/// The text with what stands between `://` (or its start) and its last `@` masked, but for a user's name.
pub(super) fn url(text: &str) -> String {
    let Some((before, host)) = text.rsplit_once('@') else { return text.to_owned() };
    let (scheme, userinfo) = match before.split_once("://") {
        Some((scheme, userinfo)) => (format!("{scheme}://"), userinfo),
        None => (String::new(), before),
    };
    match userinfo.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:{MASK}@{host}"),
        None => format!("{scheme}{MASK}@{host}"),
    }
}

/// The text in quotes on one line, not too long, without a password.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", cut(&url(text)))
}

/// A path of keys on one line, not too long. Where a space is missing behind a colon the value is taken for a part of the
/// key, and may be a password.
pub(super) fn key(path: &str) -> String {
    match path.split_once(':') {
        Some((key, _)) => format!("{}:{MASK}", one_line(key)),
        None => one_line(path),
    }
}

/// The text on one line, not too long.
fn one_line(text: &str) -> String {
    cut(text).replace(char::is_control, "\u{fffd}")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_within_a_url_is_never_shown() {
        for (text, want) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://:hunter2@h:1/2", "redis://:***@h:1/2"),
            ("redis://me:hunter2@h:1", "redis://me:***@h:1"),
            ("redis://me:hun@ter:2@h", "redis://me:***@h"),
            ("redis://hunter2@h", "redis://***@h"),
            ("redis:/me:hunter2@h", "redis:***@h"),
            ("hunter2@h", "***@h"),
        ] {
            assert_eq!(url(text), want);
        }
    }

    #[test]
    fn a_value_that_got_into_its_key_is_not_shown() {
        for (path, want) in [
            ("redis.password", "redis.password"),
            ("redis.password:\"hunter2", "redis.password:***"),
            ("a\nb:c:d", "a\u{fffd}b:***"),
        ] {
            assert_eq!(key(path), want);
        }
    }

    #[test]
    fn secrets_among_the_properties_are_known_by_name() {
        for (path, want) in [
            ("kafka.properties.sasl.password", true),
            ("kafka.properties.ssl.key.password", true),
            ("kafka.properties.ssl.key.pem", true),
            ("kafka.properties.sasl.oauthbearer.client.secret", true),
            ("kafka.properties.SASL.Password", true),
            ("kafka.properties.sasl.username", false),
            ("kafka.properties.ssl.ca.location", false),
            ("redis.password_file", false),
        ] {
            assert_eq!(is_secret(path), want, "{path}");
        }
    }
}
