//! What `stepup replay` is asked for on its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::pace::Arrivals;
use super::rate::Rate;
use super::slo::Slo;
use super::span;
use crate::config::Config;
use crate::domain::trigger::ActivityType;
use crate::roles::place::Place;
use crate::roles::recording_args::RecordingArgs;
use crate::roles::whole::at_least;

const EXAMPLES: &str = "Examples:
  stepup replay --config stepup.yaml --events 100000 --rate 5000 \\
      --slo 'p99<250ms,lost=0'
  stepup replay --config stepup.yaml --duration 10m --rate 100..5000 \\
      --day 2m --report load.html
  stepup replay --config stepup.yaml --recording bets.ndjson.gz \\
      --rate 'recorded*60' --json
  stepup replay --config stepup.yaml --from-topic activity --from -1h \\
      --rate 2000

What is counted:
  produced   events that the brokers acknowledged
  decided    of these, those before the committed position of the group that
             evaluates
  commands   different commands that events of this run caused
  outcomes   those of them that have an outcome
  lost       events that are not decided, and commands that have no outcome,
             when --drain is over; with --preferences also commands that
             should have come and did not
  repeated   outcomes of one command that are not the same record: a second
             session for one command. The same command or outcome again is
             harmless and counted apart (commands_repeated,
             outcomes_repeated), for every effect may be repeated under its
             name
  p50 …      from the moment an event was meant to be sent, by the rate, to
             the moment its command (or outcome) was read here, by one clock:
             an event that is sent late is late from its own time";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// The configuration of the deployment, a YAML file: its brokers, topics and group.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Send the events of a recording: NDJSON, plain, gzip or zstd; - is the standard input.
    #[arg(long, value_name = "FILE", group = "recorded", conflicts_with = "synthetic")]
    pub(super) recording: Option<PathBuf>,
    #[command(flatten)]
    pub(super) format: RecordingArgs,
    /// Send the events of a range of this topic, of the same brokers.
    #[arg(long, value_name = "TOPIC", group = "recorded", conflicts_with = "synthetic")]
    pub(super) from_topic: Option<String>,
    /// Where the range begins: earliest, a time like 2026-03-01T12:00:00Z, a time before now like -1h, or offsets by
    /// partition like 0:1500,1:320.
    #[arg(long, value_name = "PLACE", default_value = "earliest", value_parser = Place::from, allow_hyphen_values = true, requires = "from_topic")]
    pub(super) from: Place,
    /// Where it ends, this not included: latest, a time, a time before now, or offsets by partition.
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = Place::to, allow_hyphen_values = true, requires = "from_topic")]
    pub(super) to: Place,
    /// Send the events of synthetic customers; this is what is done without --recording.
    #[arg(long)]
    pub(super) synthetic: bool,
    /// Send no more events than this.
    #[arg(long, value_name = "N", value_parser = at_least::<1>, allow_negative_numbers = true)]
    pub(super) events: Option<u64>,
    /// Send for so long, like 30s or 10m.
    #[arg(long, value_name = "TIME", value_parser = span, allow_hyphen_values = true)]
    pub(super) duration: Option<Duration>,
    /// Events a second: 500; a ramp over --duration, 100..5000; steps, 1000:30s,2000:30s; recorded or recorded*10, as the
    /// events' own times say; or max.
    #[arg(long, value_name = "RATE", default_value = "1000", allow_hyphen_values = true)]
    pub(super) rate: Rate,
    /// How events follow one another; poisson for synthetic customers and even for a recording, if not set.
    #[arg(long, value_name = "HOW")]
    pub(super) arrivals: Option<Arrivals>,
    /// Let the rate rise and fall like that of a day, which takes this long.
    #[arg(long, value_name = "TIME", value_parser = span, allow_hyphen_values = true)]
    pub(super) day: Option<Duration>,
    /// The same seed gives the same customers, deeds and distances in time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least::<0>, allow_negative_numbers = true)]
    pub(super) seed: u64,
    /// Stands before every event's id and behind every synthetic customer's, so that runs do not meet; made from the
    /// clock, if not set.
    #[arg(long, value_name = "NAME", value_parser = run_id)]
    pub(super) run_id: Option<String>,
    /// The activity topic to write to, where the configuration has several.
    #[arg(long, value_name = "TOPIC")]
    pub(super) topic: Option<String>,
    /// Keep the ids of a recording as they are: events that were decided before are repeats.
    #[arg(long, requires = "recorded")]
    pub(super) keep_ids: bool,
    /// Keep the times of a recording as they are: older events than evaluate.max_event_age cause no commands.
    #[arg(long, requires = "recorded")]
    pub(super) keep_times: bool,
    /// Stop at the first line of a recording that cannot be sent, instead of counting it.
    #[arg(long, requires = "recorded")]
    pub(super) strict: bool,
    /// How long to wait, once all is sent, for everything to be decided and every command to have its outcome.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = span, allow_hyphen_values = true)]
    pub(super) drain: Duration,
    /// Nobody dispatches: do not wait for outcomes, and call no command lost.
    #[arg(long)]
    pub(super) no_outcomes: bool,
    /// Decide the same events offline by these preferences, one <tenant_id>.json each, and count commands that did not
    /// come as lost. Customers must have no past in the deployment: synthetic ones of a new run have none.
    #[arg(long, value_name = "DIR")]
    pub(super) preferences: Option<PathBuf>,
    /// What must hold, or the exit status is 1, as in p99<250ms,outcome.p99<1s,lost=0,repeated=0,dead_letters=0,rate>=900.
    #[arg(long, value_name = "TERMS")]
    pub(super) slo: Option<Slo>,
    /// Write the figures as one JSON object to the standard output.
    #[arg(long)]
    pub(super) json: bool,
    /// Write a page with figures and charts to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Show neither progress nor words, only the summary.
    #[arg(long)]
    pub(super) quiet: bool,
    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    pub(super) customers: Customers,
}

/// Who the synthetic customers are and how their senders behave. A share is 0.01 or 1%.
#[derive(Args, Debug)]
#[command(next_help_heading = "Synthetic customers")]
pub(super) struct Customers {
    /// How many tenants: tenant-0, tenant-1, ….
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[arg(allow_negative_numbers = true)]
    pub(super) tenants: u32,
    /// How many customers each tenant has.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(allow_negative_numbers = true)]
    pub(super) customers: u32,
    /// Zipf's exponent: 0 makes all customers equally busy, 1 the second half as busy as the first.
    #[arg(long, value_name = "EXPONENT", default_value = "1", value_parser = skew, allow_negative_numbers = true)]
    pub(super) skew: f64,
    /// What customers do, each with its weight, like bet=80,login=6,deposit=5.
    #[arg(long, value_name = "MIX", value_parser = mix)]
    pub(super) mix: Option<Mix>,
    /// The share of events after which a customer bets in a burst.
    #[arg(long, value_name = "SHARE", default_value = "0.002", value_parser = share, allow_hyphen_values = true)]
    pub(super) bursts: f64,
    /// The share of events that happened up to --late-by before they are sent.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, allow_hyphen_values = true)]
    pub(super) late: f64,
    /// How late the late ones are at the most.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = span, allow_hyphen_values = true)]
    pub(super) late_by: Duration,
    /// The share of events that are sent again under the same id.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, allow_hyphen_values = true)]
    pub(super) repeated: f64,
    /// The share of events that are sent after some that happened later.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, allow_hyphen_values = true)]
    pub(super) out_of_order: f64,
    /// The share of records that are no valid event; they come out as dead letters.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, allow_hyphen_values = true)]
    pub(super) malformed: f64,
}

/// Kinds of activity with their weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mix(pub(super) Vec<(ActivityType, f64)>);

impl ReplayArgs {
    /// What the options do not allow together.
    ///
    /// # Errors
    /// One line for whoever typed them.
    pub fn check(&self) -> Result<(), String> {
        let bounded = self.events.is_some() || self.duration.is_some() || self.rate.length().is_some();
        match &self.rate {
            Rate::Recorded { .. } if !self.is_recorded() => {
                let problem =
                    "--rate recorded: synthetic customers have no recorded times; give --recording or --from-topic";
                return Err(problem.to_owned());
            }
            Rate::Ramp { .. } if self.duration.is_none() => {
                return Err("--rate: a ramp needs --duration, over which it rises or falls".to_owned());
            }
            Rate::Recorded { .. } | Rate::Max if self.day.is_some() => {
                return Err("--day: changes a rate in events a second, not recorded or max".to_owned());
            }
            Rate::Constant(_) | Rate::Ramp { .. } | Rate::Steps(_) | Rate::Recorded { .. } | Rate::Max => {}
        }
        if self.format.is_table() && self.recording.is_none() {
            return Err("--columns: is for a recording that is read with --recording".to_owned());
        }
        if !self.is_recorded() && !bounded {
            return Err("give --events or --duration: synthetic customers never end".to_owned());
        }
        if self.duration.is_some_and(|duration| duration.is_zero()) {
            return Err("--duration: must be longer than 0".to_owned());
        }
        Ok(())
    }

    /// Whether --topic is one of the configuration's.
    ///
    /// # Errors
    /// One line for whoever typed it.
    pub fn check_topic(&self, config: &Config) -> Result<(), String> {
        let topics = &config.kafka.topics.activity;
        match &self.topic {
            Some(topic) if !topics.contains(topic) => {
                Err(format!("--topic {topic}: is none of kafka.topics.activity: {}", topics.join(", ")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether what is sent happened before.
    fn is_recorded(&self) -> bool {
        self.recording.is_some() || self.from_topic.is_some()
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        let usual = if self.is_recorded() { Arrivals::Even } else { Arrivals::Poisson };
        self.arrivals.unwrap_or(usual)
    }
}

fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    let share = number.ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a share from 0 to 1, like 0.01 or 1%".to_owned())
}

fn skew(text: &str) -> Result<f64, String> {
    let skew = text.parse().ok().filter(|skew| (0.0..=10.0).contains(skew));
    skew.ok_or_else(|| "must be a number from 0 to 10".to_owned())
}

fn mix(text: &str) -> Result<Mix, String> {
    let allowed = || {
        let names: Vec<_> = ActivityType::ALL.iter().map(|kind| kind.name()).collect();
        format!("must be weights of {}, like bet=80,login=6", names.join(", "))
    };
    let part = |part: &str| {
        let (name, weight) = part.split_once('=')?;
        let weight: f64 = weight.trim().parse().ok().filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)?;
        Some((ActivityType::from_name(name.trim())?, weight))
    };
    let mix: Vec<_> = text.split(',').map(part).collect::<Option<_>>().ok_or_else(allowed)?;
    if mix.iter().map(|(_, weight)| weight).sum::<f64>() > 0.0 { Ok(Mix(mix)) } else { Err(allowed()) }
}

fn run_id(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 32 letters, digits and _".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ReplayArgs,
    }

    fn args(line: &str) -> Result<ReplayArgs, String> {
        let line = ["replay", "--config", "c"].into_iter().chain(line.split_whitespace());
        let args = Line::try_parse_from(line).map_err(|error| error.to_string())?.args;
        args.check().map(|()| args)
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_a_way_out() {
        for (line, want) in [
            ("--synthetic", "give --events or --duration"),
            ("--rate recorded --events 5", "give --recording"),
            ("--rate 1..5 --events 5", "a ramp needs --duration"),
            ("--rate max --day 1m --events 5", "--day"),
            ("--duration 0s", "--duration"),
            ("--events 5 --recording f --synthetic", "cannot be used with"),
            ("--events 5 --keep-ids", "--recording"),
            ("--events 5 --slo p95<1s", "allowed are p50"),
            ("--events 5 --late 2", "a share from 0 to 1"),
            ("--events 5 --mix bets=1", "weights of bet, login"),
            ("--events 5 --mix bet=0", "weights of bet, login"),
            ("--events 5 --run-id a-b", "letters, digits"),
            ("--events 0", "a whole number of at least 1"),
            ("--events -1", "a whole number of at least 1"),
            ("--events 5 --seed -1", "a whole number of at least 0"),
            ("--events 5 --rate -1", "a number of events a second"),
            ("--duration -5s", "a time, like 250ms"),
            ("--events 5 --day -1m", "a time, like 250ms"),
            ("--events 5 --drain -1s", "a time, like 250ms"),
            ("--events 5 --late-by -1s", "a time, like 250ms"),
            ("--events 5 --tenants -1", "not in 1..=100000"),
            ("--events 5 --customers -1", "not in 1..=4294967295"),
            ("--events 5 --skew -1", "a number from 0 to 10"),
            ("--events 5 --late -1%", "a share from 0 to 1"),
            ("--events 5 --malformed -0.1", "a share from 0 to 1"),
        ] {
            let error = args(line).unwrap_err();
            assert!(error.contains(want), "{line}: {error}");
        }
    }

    #[test]
    fn a_topic_must_be_one_of_the_configuration() {
        let yaml = "roles: [evaluate]\nkafka: {brokers: b, topics: {activity: [bets, logins]}}\n\
                    preferences: {source: directory, directory: d}";
        let config = Config::from_yaml(yaml, std::iter::empty()).unwrap();
        for (line, want) in [
            ("", Ok(())),
            (" --topic logins", Ok(())),
            (" --topic nope", Err("--topic nope: is none of kafka.topics.activity: bets, logins".to_owned())),
        ] {
            assert_eq!(args(&format!("--events 5{line}")).unwrap().check_topic(&config), want);
        }
    }

    #[test]
    fn what_is_left_out_has_a_sensible_value() {
        let synthetic = args("--events 5 --mix bet=3,login=1 --malformed 1%").unwrap();
        assert_eq!(synthetic.arrivals(), Arrivals::Poisson);
        assert_eq!(synthetic.rate, Rate::Constant(1_000.0));
        assert_eq!(synthetic.customers.mix, Some(Mix(vec![(ActivityType::Bet, 3.0), (ActivityType::Login, 1.0)])));
        assert!((synthetic.customers.malformed - 0.01).abs() < 1e-9);
        assert_eq!(args("--recording f").unwrap().arrivals(), Arrivals::Even);
        assert!(args("--rate 100:5s,200:5s").is_ok(), "steps end by themselves");
    }
}
