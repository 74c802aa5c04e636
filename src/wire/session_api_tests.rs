use super::*;

fn refusal(body: &str) -> String {
    decode_request(body.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_request_that_breaks_a_rule_names_the_field() {
    for (body, want) in [
        ("", "the body must be a JSON object"),
        ("[]", "the body must be a JSON object"),
        ("{", "the body is not JSON"),
        (r#"{"event":"login","event":"login"}"#, "the body holds a field twice or of a wrong type"),
        ("{}", "reference is required"),
        (r#"{"reference":""}"#, "reference is required"),
        (r#"{"reference":7}"#, "reference must be a string"),
        (r#"{"reference":"r"}"#, "customer_id is required"),
        (r#"{"reference":"r","customer_id":"c"}"#, "event is required"),
        (r#"{"reference":"r","customer_id":"c","event":"deposit"}"#, "amount is required"),
        (r#"{"reference":"r","customer_id":"c","event":"deposit","amount":"5"}"#, "amount must be a JSON number"),
        (r#"{"reference":"r","customer_id":"c","event":"deposit","amount":-5}"#, "amount must not be negative"),
        (r#"{"reference":"r","customer_id":"c","event":"high_frequency_betting"}"#, "event_count is required"),
        (
            r#"{"reference":"r","customer_id":"c","event":"high_frequency_betting","event_count":1.5}"#,
            "event_count must be a whole number of at least 0",
        ),
        (
            r#"{"reference":"r","customer_id":"c","event":"high_frequency_betting","event_count":1}"#,
            "event_window_minutes is required",
        ),
        (r#"{"reference":"r","customer_id":"c","event":"login","callback_url":7}"#, "callback_url must be a string"),
    ] {
        assert_eq!(refusal(body), want, "{body}");
    }
    let long = format!(r#"{{"reference":"{}"}}"#, "r".repeat(257));
    assert!(refusal(&long).starts_with("reference must have at most 256 characters"));
}

#[test]
fn an_event_brings_what_its_trigger_reads_and_the_rest_is_ignored() {
    let exact = "12345678901234567.89012345678";
    for (rest, want) in [
        (r#""event":"","amount":"x""#.to_owned(), RequestedEvent::Unknown),
        (r#""event":"jump""#.to_owned(), RequestedEvent::Unknown),
        (r#""event":"login","amount":"x""#.to_owned(), RequestedEvent::Plain(Trigger::Login)),
        (
            format!(r#""event":"deposit","amount":{exact}"#),
            RequestedEvent::Amount {
                trigger: Trigger::Deposit,
                amount: exact.parse::<crate::domain::money::Amount>().unwrap().as_usd(),
                text: exact.to_owned(),
            },
        ),
        (
            r#""event":"high_frequency_betting","event_count":12,"event_window_minutes":5"#.to_owned(),
            RequestedEvent::Frequency { trigger: Trigger::HighFrequencyBetting, count: 12, window_minutes: 5 },
        ),
    ] {
        let body = format!(r#"{{"reference":"r","customer_id":"c",{rest}}}"#);
        assert_eq!(decode_request(body.as_bytes()).unwrap().event, want, "{body}");
    }
}

#[test]
fn a_proof_is_base64_and_bounded() {
    for (body, want) in [
        (r#"{"token":"t","proof":"YXBwcm92ZQ=="}"#, Ok(b"approve".to_vec())),
        (r#"{"token":"t","proof":"YXBwcm92ZQ"}"#, Ok(b"approve".to_vec())),
        (r#"{"token":"t","proof":"YXBwcm92ZTEyMw=="}"#, Err("proof must have at most 8 bytes")),
        (r#"{"token":"t","proof":"%%!"}"#, Err("proof must be base64")),
        (r#"{"token":"t","proof":""}"#, Err("proof is required")),
        (r#"{"token":"t"}"#, Err("proof is required")),
        (r#"{"proof":"YQ=="}"#, Err("token is required")),
    ] {
        let got = decode_submission(body.as_bytes(), 8).map(|s| s.proof).map_err(|error| error.to_string());
        assert_eq!(got, want.map_err(str::to_owned), "{body}");
    }
}

#[test]
fn reactions_that_are_absent_do_nothing() {
    for (document, want) in [
        ("{}", Some(Reactions::default())),
        (r#"{"reuse_kyc_reactions":null}"#, Some(Reactions::default())),
        (
            r#"{"reuse_kyc_reactions":{"max_retry_attempts":2,"trigger_alert":true,"freeze_account":null}}"#,
            Some(Reactions { max_retry_attempts: 2, trigger_alert: true, ..Reactions::default() }),
        ),
        (r#"{"reuse_kyc_reactions":{"max_retry_attempts":"2"}}"#, None),
    ] {
        assert_eq!(decode_reactions(document.as_bytes()).ok(), want, "{document}");
    }
}

#[test]
fn an_amount_longer_than_any_threshold_compares_as_if_whole() {
    for (long, want) in [
        ("9999999999999999999999999998.0000000000000000000000000001", "9999999999999999999999999998"),
        ("99999999999999999999999999980000000000000000000000000001", "9999999999999999999999999998e28"),
        ("0.00012345678901234567890123456789", "0.0001234567890123456789012345678"),
        ("12345678901234567890123456789e-28", "1.234567890123456789012345678"),
        ("1234567890123456789012345678.9E2", "1234567890123456789012345678e2"),
    ] {
        let raw = RawValue::from_string(long.to_owned()).unwrap();
        assert_eq!(dollars(&raw), Ok(want.parse::<Amount>().unwrap().as_usd()), "{long}");
    }
}
