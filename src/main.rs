//! The `stepup` binary: the verbs and one match.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use stepup::config::{self, Config, ConfigError};
use stepup::roles::audit::AuditArgs;
use stepup::roles::backtest::BacktestArgs;
use stepup::roles::demo::DemoArgs;
use stepup::roles::explain::ExplainArgs;
use stepup::roles::forget::ForgetArgs;
use stepup::roles::hold::in_full;
use stepup::roles::pause::{PauseArgs, ResumeArgs};
use stepup::roles::record::RecordArgs;
use stepup::roles::redrive::RedriveArgs;
use stepup::roles::release::{KeepArgs, ReleaseArgs};
use stepup::roles::replay::ReplayArgs;
use stepup::roles::session_api::SessionApiArgs;
use stepup::roles::{
    audit, backtest, check, demo, explain, forget, pause, record, redrive, release, replay, run, schema, session_api,
};
use stepup::telemetry::{self, Format};
use stepup::{edge, shutdown};

/// A batch is allocated on one thread and freed on another, which this one is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Watches customer activity on Kafka and asks for step-up verification when a tenant's triggers say so.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show everything in one process: broker, windows, session API and load. Nothing to install.
    Demo(DemoArgs),
    /// Run the processor.
    Run(RunArgs),
    /// Put load on a running deployment, and measure it end to end.
    Replay(Box<ReplayArgs>),
    /// Decide over recorded events offline.
    Backtest(BacktestArgs),
    /// Tell one event's decision, step by step.
    Explain(ExplainArgs),
    /// Write a range of a topic to a file, with names of people replaced on request.
    Record(Box<RecordArgs>),
    /// Send dead letters back to where they came from.
    Redrive(Box<RedriveArgs>),
    /// Prove the promises from what went in and what came out, or name the first that is broken.
    Audit(Box<AuditArgs>),
    /// Stop asking customers at once: for one tenant, one trigger or all.
    Pause(PauseArgs),
    /// End a pause.
    Resume(ResumeArgs),
    /// Let a trigger ask customers again that went to shadow because it fired too often.
    Release(ReleaseArgs),
    /// Accept that such a trigger stays in shadow.
    Keep(KeepArgs),
    /// Erase what Redis keeps of one customer.
    Forget(ForgetArgs),
    /// Check the configuration, the preferences and every connection, each with its verdict.
    Check(CheckArgs),
    /// List the JSON Schemas, or print one.
    Schema(SchemaArgs),
    /// Simulate the verification service, for tests, demos and load.
    SessionApi(SessionApiArgs),
}

#[derive(Args)]
#[command(after_help = "Example:\n  stepup run --config stepup.yaml --roles evaluate")]
struct RunArgs {
    /// The configuration, a YAML file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The roles to run instead of those that the configuration names: evaluate, dispatch, or evaluate,dispatch.
    #[arg(long, value_name = "ROLES", value_parser = roles)]
    roles: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  stepup check --config stepup.yaml")]
struct CheckArgs {
    /// The configuration, a YAML file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args)]
#[command(after_help = "Example:\n  stepup schema activity-event")]
struct SchemaArgs {
    /// The schema to print; without it they are listed.
    #[arg(value_parser = schema::name)]
    name: Option<String>,
}

fn roles(text: &str) -> Result<String, String> {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    match names[..] {
        ["evaluate"] | ["dispatch"] | ["evaluate", "dispatch"] | ["dispatch", "evaluate"] => Ok(names.join(",")),
        _ => Err("must be evaluate, dispatch, or evaluate,dispatch".to_owned()),
    }
}

/// Why a verb did not do what it was asked to.
enum Failure {
    /// The command line or the configuration is wrong: status 2.
    Usage(String),
    /// Anything else: status 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    /// A configuration that a verb read by itself is wrong in the same way as one that was read for it.
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<ConfigError>() {
            Ok(error) => Self::Usage(error.to_string()),
            Err(error) => Self::Failed(error),
        }
    }
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    edge::tls::install_tls_provider();
    let (message, status) = match perform(verb) {
        Ok(status) => return status,
        Err(Failure::Usage(message)) => (message, 2),
        Err(Failure::Failed(error)) if is_closed_pipe(&error) => return ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => (in_full(error.as_ref()), 1),
    };
    let _ = writeln!(std::io::stderr(), "stepup: {message}");
    ExitCode::from(status)
}

/// Whoever read our output has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(closed)
}

fn perform(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Run(args) => process(&args)?,
        Verb::Replay(args) => return put_load(*args),
        Verb::Check(args) => {
            let config = load(&args.config, None)?;
            block_on(check::check(&config, &mut std::io::stdout().lock()))?;
        }
        Verb::Pause(args) => {
            let config = load(args.config(), None)?;
            block_on(pause::pause(args, &config, &mut std::io::stdout(), &mut std::io::stderr()))?;
        }
        Verb::Resume(args) => {
            let config = load(args.config(), None)?;
            block_on(pause::resume(args, &config, &mut std::io::stderr()))?;
        }
        Verb::Release(args) => {
            let config = load(args.config(), None)?;
            block_on(release::release(args, &config, &mut std::io::stderr()))?;
        }
        Verb::Keep(args) => {
            let config = load(args.config(), None)?;
            block_on(release::keep(args, &config, &mut std::io::stderr()))?;
        }
        Verb::Forget(args) => {
            let config = load(args.config(), None)?;
            block_on(forget::forget(args, &config, &mut std::io::stdout()))?;
        }
        Verb::Schema(args) => schema::print(args.name.as_deref(), &mut std::io::stdout().lock())?,
        Verb::Backtest(args) => {
            args.check().map_err(Failure::Usage)?;
            block_on(async { backtest::run(args, &shutdown::token()?) })?;
        }
        Verb::Explain(args) => {
            args.check().map_err(Failure::Usage)?;
            let config = args.cluster().map(|path| load(path, None)).transpose()?;
            block_on(explain::run(args, config))?;
        }
        Verb::Record(args) => {
            args.check().map_err(Failure::Usage)?;
            let config = args.config().map(|path| load(path, None)).transpose()?;
            block_on(async { record::run(*args, config, shutdown::token()?).await })?;
        }
        Verb::Redrive(args) => redrive_letters(*args)?,
        Verb::Audit(args) => {
            let config = load(args.config(), None)?;
            block_on(async { audit::run(*args, config, shutdown::token()?).await })?;
        }
        Verb::SessionApi(args) => {
            log_to_people("info")?;
            block_on(async { session_api::run(args, shutdown::token()?).await })?;
        }
        Verb::Demo(args) => block_on(async { demo::run(args, shutdown::token()?).await })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn process(args: &RunArgs) -> Result<(), Failure> {
    let config = load(&args.config, args.roles.as_deref())?;
    start_logging(&config)?;
    keep_pages_small();
    Ok(block_on(async { run::run(config, shutdown::token()?).await })?)
}

fn put_load(args: ReplayArgs) -> Result<ExitCode, Failure> {
    args.check().map_err(Failure::Usage)?;
    let config = load(&args.config, None)?;
    args.check_topic(&config).map_err(Failure::Usage)?;
    log_to_people("warn")?;
    let met = block_on(async { replay::run(args, config, shutdown::token()?).await })?;
    Ok(if met == replay::Met::Yes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn redrive_letters(args: RedriveArgs) -> Result<(), Failure> {
    args.check().map_err(Failure::Usage)?;
    let config = load(args.config(), None)?;
    let colour = telemetry::stderr_colour();
    telemetry::init(Format::Pretty, "warn", colour, std::io::stderr).map_err(anyhow::Error::from)?;
    Ok(block_on(async { redrive::run(args, config, shutdown::token()?).await })?)
}

/// The configuration, with the roles of the command line over it as if they came from the environment.
fn load(path: &std::path::Path, roles: Option<&str>) -> Result<Config, Failure> {
    #[allow(clippy::disallowed_methods, reason = "the environment is read here and passed on as values")]
    let variables = config::variables::ours(std::env::vars_os());
    let mut variables = variables.map_err(|error| Failure::Usage(error.to_string()))?;
    variables.retain(|(name, _)| name != "STEPUP__ROLES" || roles.is_none());
    variables.extend(roles.map(|roles| ("STEPUP__ROLES".to_owned(), roles.to_owned())));
    let config = Config::load(path, variables.into_iter()).map_err(|error| Failure::Usage(error.to_string()))?;
    telemetry::check_level(&config.log.level).map_err(|error| Failure::Usage(format!("log.level: {error}")))?;
    Ok(config)
}

fn start_logging(config: &Config) -> anyhow::Result<()> {
    let format = match config.log.format {
        config::LogFormat::Json => Format::Json,
        config::LogFormat::Pretty => Format::Pretty,
    };
    Ok(telemetry::init(format, &config.log.level, telemetry::stderr_colour(), std::io::stderr)?)
}

fn log_to_people(level: &str) -> anyhow::Result<()> {
    Ok(telemetry::init(Format::Pretty, level, telemetry::stderr_colour(), std::io::stderr)?)
}

/// A role lets go of most of what it allocates within milliseconds. In pages of 2 MiB, which the allocator asks for, that
/// keeps half as much memory again resident, and makes nothing faster.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "transparent huge pages stay on");
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A thread of a Kafka client that does not end must not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// A terminal has 80 columns, and clap breaks a longer line anywhere.
    const WIDEST: usize = 78;

    #[test]
    fn an_example_and_a_table_keep_their_lines() {
        for verb in Cli::command().get_subcommands() {
            let text = verb.get_after_help().unwrap_or_else(|| panic!("{} has no example", verb.get_name()));
            // Paragraphs begin at the margin, and are as wide as the terminal.
            for line in text.to_string().lines().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= WIDEST, "{}: {line}", verb.get_name());
            }
        }
    }

    #[test]
    fn roles_that_do_not_exist_are_told_by_their_flag() {
        let parse = |roles: &str| Cli::try_parse_from(["stepup", "run", "--config", "c", "--roles", roles]);
        for (text, want) in [("evaluate", "evaluate"), ("dispatch, evaluate", "dispatch,evaluate")] {
            let Ok(Cli { verb: Verb::Run(args) }) = parse(text) else { panic!("{text}") };
            assert_eq!(args.roles.as_deref(), Some(want));
        }
        for text in ["both", "", "evaluate,", "evaluate,evaluate"] {
            let error = parse(text).err().unwrap().to_string();
            let allowed = error.contains("must be evaluate, dispatch, or evaluate,dispatch");
            assert!(allowed && error.contains("--roles"), "{text}: {error}");
        }
    }

    #[test]
    fn a_schema_that_does_not_exist_is_named_with_those_that_do() {
        let error = Cli::try_parse_from(["stepup", "schema", "nope"]).err().unwrap();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2);
        assert!(text.contains("'nope'") && text.contains("activity-event.v1"), "{text}");
    }
}
