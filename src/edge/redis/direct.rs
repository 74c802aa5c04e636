//! A connection to one server over plain TCP, without the library between.
//!
//! A batch of bets is hundreds of small commands and as many lengths, of each of which the library makes objects. Where nothing
//! stands between the bytes and the socket that is a tenth of what an event costs (docs/speed.md). What is over TLS or
//! spread over a cluster goes by the library.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use redis::{Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::protocol::{Malformed, Packed, read_answer};

/// Calls that wait to be written. Whoever calls waits for the answer anyway.
const WAITING: usize = 64;
/// Room for what is read at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// Clones share the connection. It ends with the last of them.
#[derive(Clone)]
pub(super) struct Direct(mpsc::Sender<Call>);

/// What is sent together, and who waits for the answers.
struct Call {
    commands: Arc<Vec<u8>>,
    under_way: UnderWay,
}

struct UnderWay {
    answers: Vec<Value>,
    /// So many are still to come.
    missing: usize,
    done: oneshot::Sender<RedisResult<Vec<Value>>>,
}

impl Direct {
    /// Whether a server can be spoken to without the library.
    pub(super) fn suits(server: &ConnectionInfo) -> bool {
        matches!(server.addr(), ConnectionAddr::Tcp(..))
    }

    /// Connects and says who we are.
    pub(super) async fn connect(server: &ConnectionInfo) -> RedisResult<Self> {
        let ConnectionAddr::Tcp(host, port) = server.addr() else {
            return Err((ErrorKind::InvalidClientConfig, "not an address of plain TCP").into());
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        // What is sent is small and awaited, so it must not wait for more to come.
        stream.set_nodelay(true)?;
        let (calls, to_make) = mpsc::channel(WAITING);
        tokio::spawn(serve(stream, to_make));
        let direct = Self(calls);
        direct.log_in(server).await?;
        Ok(direct)
    }

    async fn log_in(&self, server: &ConnectionInfo) -> RedisResult<()> {
        let settings = server.redis_settings();
        if let Some(password) = settings.password() {
            let mut command = redis::cmd("AUTH");
            command.arg(settings.username()).arg(password);
            self.ask(&command).await?.map_err(refused_credentials)?;
        }
        if settings.db() != 0 {
            self.ask(redis::cmd("SELECT").arg(settings.db())).await??;
        }
        Ok(())
    }

    /// The answer to one command, be it an error.
    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Result<Value, RedisError>> {
        let answer = self.send(Packed::from(command)).await?.pop().unwrap_or(Value::Nil);
        Ok(if let Value::ServerError(error) = answer { Err(error.into()) } else { Ok(answer) })
    }

    /// Sends commands. The answers stand as they came; errors are among them.
    pub(super) async fn send(&self, commands: Packed) -> RedisResult<Vec<Value>> {
        let (done, answered) = oneshot::channel();
        let missing = commands.len();
        let under_way = UnderWay { answers: Vec::with_capacity(missing), missing, done };
        self.0.send(Call { commands: commands.into_bytes(), under_way }).await.map_err(|_| lost())?;
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

fn lost() -> RedisError {
    io::Error::new(io::ErrorKind::BrokenPipe, "the connection to Redis was lost").into()
}

fn refused_credentials(error: RedisError) -> RedisError {
    if error.detail().is_some_and(|detail| detail.contains("max number of clients")) {
        return error;
    }
    (ErrorKind::AuthenticationFailed, "the password was refused").into()
}

/// Writes what is called and reads the answers, both at any time: a server that waits for its answers to be read would
/// wait for ever otherwise. Ends with the connection, or when nobody can call any more.
async fn serve(mut stream: TcpStream, mut calls: mpsc::Receiver<Call>) {
    let (mut reader, mut writer) = stream.split();
    let (mut commands, mut written) = (Arc::<Vec<u8>>::default(), 0);
    let mut incoming = Incoming::default();
    loop {
        incoming.make_room();
        tokio::select! {
            biased;
            read = reader.read_buf(&mut incoming.bytes) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                if let Err(malformed) = incoming.hand_over() {
                    return incoming.refuse(&malformed);
                }
            }
            wrote = writer.write(&commands[written..]), if written < commands.len() => {
                match wrote {
                    Ok(bytes @ 1..) => written += bytes,
                    Ok(0) | Err(_) => return,
                }
            }
            call = calls.recv(), if written == commands.len() => {
                let Some(call) = call else { return };
                // Who does not wait any more asks again.
                if !call.under_way.done.is_closed() {
                    (commands, written) = (call.commands, 0);
                    incoming.expect(call.under_way);
                }
            }
        }
    }
}

/// What has come, and who waits for it.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    waiting: VecDeque<UnderWay>,
}

impl Incoming {
    fn make_room(&mut self) {
        self.bytes.reserve(READ_AT_ONCE);
    }

    fn expect(&mut self, under_way: UnderWay) {
        self.waiting.push_back(under_way);
    }

    /// Gives the answers that have come to whoever waits for them.
    fn hand_over(&mut self) -> Result<(), Malformed> {
        let mut begin = 0;
        while let Some((value, length)) = read_answer(&self.bytes[begin..])? {
            begin += length;
            let first = self.waiting.front_mut().ok_or(Malformed)?;
            first.answers.push(value);
            first.missing -= 1;
            if first.missing == 0
                && let Some(UnderWay { answers, done, .. }) = self.waiting.pop_front()
            {
                // Whoever called may have stopped waiting.
                let _ = done.send(Ok(answers));
            }
        }
        self.bytes.drain(..begin);
        Ok(())
    }

    /// Tells whoever waits for it that what has come cannot be read.
    fn refuse(self, malformed: &Malformed) {
        if let Some(first) = self.waiting.into_iter().next() {
            let error = (ErrorKind::Parse, "Redis's answer cannot be read", malformed.to_string());
            let _ = first.done.send(Err(error.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A connection to a server that reads one call, writes these pieces and then ends.
    async fn served(pieces: &'static [&'static str]) -> Direct {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let call = stream.read(&mut [0; 64]).await.unwrap();
            assert!(call > 0);
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        Direct::connect(&url.into_connection_info().unwrap()).await.unwrap()
    }

    fn ping() -> Cmd {
        redis::cmd("PING")
    }

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        let direct = served(&["+PO", "NG\r", "\n"]).await;
        assert_eq!(direct.ask(&ping()).await.unwrap().unwrap(), Value::SimpleString("PONG".to_owned()));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_a_connection_that_is_lost_now_and_later() {
        let direct = served(&["+PO"]).await;
        for _ in 0..2 {
            assert!(direct.ask(&ping()).await.unwrap_err().is_io_error());
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_to_who_waits_and_ends_the_connection() {
        let direct = served(&["HTTP/1.1 400 Bad Request\r\n"]).await;
        assert_eq!(direct.ask(&ping()).await.unwrap_err().kind(), ErrorKind::Parse);
        assert!(direct.ask(&ping()).await.unwrap_err().is_io_error());
    }
}
