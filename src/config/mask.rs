//! What is not shown: passwords within URLs, and the values of properties that may be secrets.

/// Stands for a secret.
pub(super) const MASK: &str = "***";
const SHOWN: usize = 80;

/// Properties of librdkafka about who we are that are shown.
const SHOWN_PROPERTIES: [&str; 16] = [
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "sasl.kerberos.keytab",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.method",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.keystore.location",
];

/// What the names of the other shown ones begin with. No secret's name does.
const SHOWN_FIRST_WORDS: &str = "acks allow api auto batch broker check compression connections coordinator debug \
    delivery enable fetch group heartbeat isolation linger log log_level max message metadata partition partitioner \
    produce queue queued queuing receive reconnect request retries retry session socket statistics sticky topic";

/// Whether the value under this path may be a secret. Only librdkafka's properties have names that we do not know, and a
/// mistyped one may hold a password.
pub(super) fn is_secret(path: &str) -> bool {
    path.strip_prefix("kafka.properties.").is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        let first = name.split('.').next().unwrap_or_default();
        !SHOWN_PROPERTIES.contains(&name.as_str()) && !SHOWN_FIRST_WORDS.split(' ').any(|word| word == first)
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
    fn of_the_properties_only_those_are_shown_that_are_known_to_be_no_secret() {
        for (name, want) in [
            ("sasl.password", true),
            ("SASL.Password", true),
            ("sasl.pasword", true),
            ("sals.pasword", true),
            ("pasword", true),
            ("client.secret", true),
            ("sasl.jaas.config", true),
            ("sasl.oauthbearer.client.secret", true),
            ("sasl.oauthbearer.assertion.private.key.passphrase", true),
            ("ssl.key.password", true),
            ("ssl.key.pem", true),
            ("https.ca.pem", true),
            ("sasl.username", false),
            ("sasl.mechanism", false),
            ("security.protocol", false),
            ("ssl.ca.location", false),
            ("client.id", false),
            ("enable.ssl.certificate.verification", false),
            ("linger.ms", false),
            ("log_level", false),
        ] {
            assert_eq!(is_secret(&format!("kafka.properties.{name}")), want, "{name}");
        }
        assert!(!is_secret("redis.password_file"));
    }
}
