//! One connection, made when it is needed and made anew when it is lost.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError, RedisResult,
    TlsCertificates, Value,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::direct::Direct;
use super::failure::{Failure, spoils_connection, unreadable_file};
use super::protocol::Commands;
use super::replies::{by_node, server_errors};
use super::scripts::load_scripts;
use super::{RedisSettings, Servers};

/// The way to Redis, shared by its clones.
#[derive(Clone)]
pub(super) struct Connection {
    settings: Arc<RedisSettings>,
    current: Arc<Mutex<Current>>,
    /// Whether it goes without the library.
    is_direct: bool,
}

/// The connection in use or being made. Everybody who needs one awaits the same attempt and shares its end.
#[derive(Default)]
struct Current {
    generation: u64,
    attempt: Option<Attempt>,
    /// When somebody last needed it.
    used: Option<Instant>,
}

/// How long a connection is trusted without having been used.
const IDLE: Duration = Duration::from_secs(10);

type Attempt = Shared<BoxFuture<'static, Result<Link, Failure>>>;

#[derive(Clone)]
enum Link {
    Direct(Direct),
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    async fn send(self, commands: &Commands) -> RedisResult<Vec<Value>> {
        match (self, commands) {
            (Self::Direct(link), Commands::Packed(packed)) => link.send(packed.clone()).await,
            (Self::Single(mut link), Commands::Each(pipeline)) => pipeline.query_async(&mut link).await,
            (Self::Cluster(mut link), Commands::Each(pipeline)) => pipeline.query_async(&mut link).await,
            (Self::Direct(_), Commands::Each(_)) | (Self::Single(_) | Self::Cluster(_), Commands::Packed(_)) => {
                Err((ErrorKind::Client, "commands of a form that is not this connection's").into())
            }
        }
    }

    async fn ask_primaries(self, command: Cmd) -> RedisResult<Vec<Value>> {
        match self {
            Self::Direct(link) => Ok(vec![link.ask(&command).await??]),
            Self::Single(mut link) => Ok(vec![command.query_async(&mut link).await?]),
            Self::Cluster(mut link) => {
                let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                link.route_command(command, everywhere).await.map(by_node)
            }
        }
    }
}

impl RedisSettings {
    async fn bounded<T>(&self, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        match tokio::time::timeout(self.response_timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
}

impl Connection {
    pub(super) fn new(settings: RedisSettings) -> Self {
        let is_direct = match &settings.servers {
            Servers::Single { url } => {
                settings.ca_file.is_none() && url.as_str().into_connection_info().is_ok_and(|it| Direct::suits(&it))
            }
            Servers::Cluster { .. } => false,
        };
        Self { settings: Arc::new(settings), current: Arc::default(), is_direct }
    }

    /// Another connection to the same servers.
    pub(super) fn another(&self) -> Self {
        Self { current: Arc::default(), ..self.clone() }
    }

    pub(super) fn is_cluster(&self) -> bool {
        match self.settings.servers {
            Servers::Single { .. } => false,
            Servers::Cluster { .. } => true,
        }
    }

    /// Whether it takes commands as bytes.
    pub(super) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Sends commands, to the node of the first one's key. The answers stand as they came; errors are among them.
    pub(super) async fn send(&self, commands: &Commands) -> Result<Vec<Value>, Failure> {
        let (generation, link) = self.link().await?;
        let answers = self.settings.bounded(link.send(commands)).await;
        let spoilt = match &answers {
            Ok(answers) => server_errors(answers).any(|error| spoils_connection(&error)),
            Err(error) => spoils_connection(error),
        };
        if spoilt {
            self.drop_link(generation);
        }
        answers.map_err(|error| self.failure(error))
    }

    /// Sends one command to the server, or to every primary of the cluster.
    pub(super) async fn ask_primaries(&self, words: &[&str]) -> Result<Vec<Value>, Failure> {
        let mut command = Cmd::new();
        command.arg(words);
        let (generation, link) = self.link().await?;
        let answers = self.settings.bounded(link.ask_primaries(command)).await;
        if let Err(error) = &answers
            && spoils_connection(error)
        {
            self.drop_link(generation);
        }
        answers.map_err(|error| self.failure(error))
    }

    /// What an error means. A redirection tells a single server's client that it speaks to a cluster.
    pub(super) fn failure(&self, error: RedisError) -> Failure {
        if error.is_cluster_error() && !self.is_cluster() {
            return Failure::Broken(
                "this Redis is a node of a cluster: name its nodes under `redis.cluster`".to_owned(),
            );
        }
        error.into()
    }

    async fn link(&self) -> Result<(u64, Link), Failure> {
        let (generation, attempt) = self.attempt();
        let link = attempt.await;
        if link.is_err() {
            self.drop_link(generation);
        }
        Ok((generation, link?))
    }

    /// The connection in use, or the attempt to make one. A server, or something on the way, may have closed a connection that
    /// stood idle, which is no outage: it is asked for a sign of life before anything is entrusted to it.
    fn attempt(&self) -> (u64, Attempt) {
        let settings = || Arc::clone(&self.settings);
        let mut current = self.lock();
        let before = current.used.replace(Instant::now());
        let is_idle = before.is_some_and(|before| before.elapsed() >= IDLE);
        let attempt = match current.attempt.take() {
            Some(attempt) if !is_idle => attempt,
            Some(attempt) => {
                current.generation += 1;
                revive(attempt, settings(), self.is_direct).boxed().shared()
            }
            None => connect(settings(), self.is_direct).boxed().shared(),
        };
        current.attempt = Some(attempt.clone());
        (current.generation, attempt)
    }

    /// Lets go of a connection, unless a newer one has taken its place.
    fn drop_link(&self, generation: u64) {
        let mut current = self.lock();
        if current.generation == generation {
            *current = Current { generation: generation + 1, ..Current::default() };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that stood idle, where it answers, or else another one. A cluster's looks after itself.
async fn revive(idle: Attempt, settings: Arc<RedisSettings>, is_direct: bool) -> Result<Link, Failure> {
    let link = idle.await;
    let answers = match &link {
        Ok(Link::Cluster(_)) => true,
        Ok(link) => {
            let answer = settings.bounded(link.clone().ask_primaries(redis::cmd("PING"))).await;
            !answer.is_err_and(|error| spoils_connection(&error))
        }
        Err(_) => false,
    };
    if answers { link } else { connect(settings, is_direct).await }
}

async fn connect(settings: Arc<RedisSettings>, is_direct: bool) -> Result<Link, Failure> {
    let connecting = async {
        let password = password(&settings).await?;
        let certificates = certificates(&settings).await?;
        let link = match &settings.servers {
            Servers::Single { url } if is_direct => direct(&settings, url, password).await,
            Servers::Single { url } => single(&settings, url, password, certificates).await,
            Servers::Cluster { urls } => cluster(&settings, urls, password, certificates).await,
        }?;
        for script in load_scripts() {
            // A script that is missing later is loaded then, so what goes wrong here is of no account.
            let _ = link.clone().ask_primaries(script).await;
        }
        Ok(link)
    };
    let in_time = tokio::time::timeout(settings.connect_timeout, connecting).await;
    in_time.unwrap_or(Err(Failure::TimedOut { what: "connecting to Redis" }))
}

async fn password(settings: &RedisSettings) -> Result<Option<SecretString>, Failure> {
    let Some(file) = &settings.password_file else {
        return Ok(settings.password.clone());
    };
    let text = tokio::fs::read_to_string(file).await.map_err(|error| unreadable_file("password_file", file, &error))?;
    Ok(Some(SecretString::from(text.trim_end_matches(['\r', '\n']))))
}

async fn certificates(settings: &RedisSettings) -> Result<Option<TlsCertificates>, Failure> {
    let Some(file) = &settings.ca_file else {
        return Ok(None);
    };
    let pem = tokio::fs::read(file).await.map_err(|error| unreadable_file("ca_file", file, &error))?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}

/// What is sent is small and awaited, so it must not wait for more to come. What stands between us and the server forgets
/// connections over which nothing goes for a few minutes.
fn sockets() -> TcpSettings {
    let (idle, between) = (Duration::from_secs(60), Duration::from_secs(10));
    TcpSettings::default().set_nodelay(true).set_keepalive(TcpKeepalive::new().with_time(idle).with_interval(between))
}

async fn direct(settings: &RedisSettings, url: &str, password: Option<SecretString>) -> Result<Link, Failure> {
    let server = with_credentials(url.into_connection_info()?, settings, password).set_tcp_settings(sockets());
    Ok(Link::Direct(Direct::connect(&server).await?))
}

async fn single(
    settings: &RedisSettings,
    url: &str,
    password: Option<SecretString>,
    certificates: Option<TlsCertificates>,
) -> Result<Link, Failure> {
    let information = url.into_connection_info()?;
    let information = with_credentials(information, settings, password).set_tcp_settings(sockets());
    let client = match certificates {
        Some(certificates) => Client::build_with_tls(information, certificates)?,
        None => Client::open(information)?,
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.response_timeout));
    Ok(Link::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
}

fn with_credentials(
    information: ConnectionInfo,
    settings: &RedisSettings,
    password: Option<SecretString>,
) -> ConnectionInfo {
    let mut credentials = information.redis_settings().clone();
    if let Some(username) = &settings.username {
        credentials = credentials.set_username(username);
    }
    if let Some(password) = password {
        credentials = credentials.set_password(password.expose_secret());
    }
    information.set_redis_settings(credentials)
}

async fn cluster(
    settings: &RedisSettings,
    urls: &[String],
    password: Option<SecretString>,
    certificates: Option<TlsCertificates>,
) -> Result<Link, Failure> {
    let mut builder = ClusterClientBuilder::new(urls.iter().map(String::as_str))
        .tcp_settings(sockets())
        // One silent node must leave time for the others.
        .connection_timeout(settings.connect_timeout / 2)
        .response_timeout(settings.response_timeout)
        .overall_response_timeout(Some(settings.response_timeout))
        .retries(3)
        .min_retry_wait(20)
        .max_retry_wait(500);
    if let Some(username) = &settings.username {
        builder = builder.username(username);
    }
    if let Some(password) = password {
        builder = builder.password(password.expose_secret());
    }
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    Ok(Link::Cluster(builder.build()?.get_async_connection().await?))
}
