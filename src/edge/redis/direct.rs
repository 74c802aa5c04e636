//! A connection to one server over plain TCP, without the library between.
//!
//! A batch of bets is hundreds of small commands and as many lengths, of each of which the library makes objects. Where nothing
//! stands between the bytes and the socket that is a tenth of what an event costs (docs/speed.md). What is over TLS or
//! spread over a cluster goes by the library.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::io::tcp::socket2::SockRef;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

use super::protocol::{Malformed, Packed, read_answer};

/// Room for what is read at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// Clones share the connection. It ends with the last of them.
#[derive(Clone)]
pub(super) struct Direct(Arc<Caller>);

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
        let settings = server.tcp_settings();
        stream.set_nodelay(settings.nodelay())?;
        if let Some(keepalive) = settings.keepalive() {
            SockRef::from(&stream).set_tcp_keepalive(keepalive)?;
        }
        let (reader, writer) = stream.into_split();
        let line = Arc::new(Line { writer, calls: Mutex::default(), news: Notify::new() });
        tokio::spawn(serve(reader, Server(Arc::clone(&line))));
        let direct = Self(Arc::new(Caller(line)));
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
        let under_way = Some(UnderWay { answers: Vec::with_capacity(missing), missing, done });
        self.0.0.call(Call { commands: commands.into_bytes(), under_way });
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

/// The connection, between those who call and the task that serves them.
struct Line {
    writer: OwnedWriteHalf,
    calls: Mutex<Calls>,
    /// There is more to be written than the socket took, or nobody to call any more.
    news: Notify,
}

#[derive(Default)]
struct Calls {
    to_write: VecDeque<Call>,
    /// So much of the first of them is written.
    written: usize,
    /// Whose answers are still to come, in their order.
    waiting: VecDeque<UnderWay>,
    /// Nobody serves them, or nobody calls.
    ended: bool,
}

/// What is sent together, and who waits for the answers.
struct Call {
    commands: Arc<Vec<u8>>,
    /// Until it begins to be written.
    under_way: Option<UnderWay>,
}

struct UnderWay {
    answers: Vec<Value>,
    /// So many are still to come.
    missing: usize,
    done: oneshot::Sender<RedisResult<Vec<Value>>>,
}

/// Whoever calls. With the last of them the task ends.
struct Caller(Arc<Line>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.calls().ended = true;
        self.0.news.notify_one();
    }
}

/// The task's end of it: without it nobody is answered any more.
struct Server(Arc<Line>);

impl Drop for Server {
    fn drop(&mut self) {
        *self.0.calls() = Calls { ended: true, ..Calls::default() };
    }
}

impl Line {
    /// Writes at once what the socket takes: the server works on it while the caller makes ready what comes next. The rest
    /// is left to the task, for whoever calls does not wait here.
    fn call(&self, call: Call) {
        let mut calls = self.calls();
        if calls.ended {
            return;
        }
        calls.to_write.push_back(call);
        // Behind others it is their turn first.
        if calls.to_write.len() > 1 || calls.write(&self.writer).is_err() || !calls.to_write.is_empty() {
            self.news.notify_one();
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Writes what the socket takes. An error is a connection that is lost.
    fn write(&mut self, writer: &OwnedWriteHalf) -> io::Result<()> {
        while let Some(call) = self.to_write.front_mut() {
            if let Some(under_way) = call.under_way.take() {
                // Who does not wait any more asks again.
                if under_way.done.is_closed() {
                    self.to_write.pop_front();
                    continue;
                }
                self.waiting.push_back(under_way);
            }
            match writer.try_write(&call.commands[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.written == call.commands.len() {
                self.written = 0;
                self.to_write.pop_front();
            }
        }
        Ok(())
    }

    /// Gives the answers that have come to whoever waits for them, and tells how many bytes they took.
    fn hand_over(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut begin = 0;
        while let Some((value, length)) = read_answer(&bytes[begin..])? {
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
        Ok(begin)
    }

    /// Tells whoever waits for it that what has come cannot be read.
    fn refuse(&mut self, malformed: &Malformed) {
        if let Some(first) = self.waiting.pop_front() {
            let error = (ErrorKind::Parse, "Redis's answer cannot be read", malformed.to_string());
            let _ = first.done.send(Err(error.into()));
        }
    }
}

/// Reads the answers and writes what is left to write, both at any time: a server that waits for its answers to be read
/// would wait for ever otherwise. Ends with the connection, or when nobody can call any more.
async fn serve(mut reader: OwnedReadHalf, server: Server) {
    let line = &*server.0;
    let mut incoming = Vec::new();
    loop {
        incoming.reserve(READ_AT_ONCE);
        let (ended, is_behind) = {
            let calls = line.calls();
            (calls.ended, !calls.to_write.is_empty())
        };
        if ended {
            return;
        }
        tokio::select! {
            biased;
            read = reader.read_buf(&mut incoming) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                let mut calls = line.calls();
                match calls.hand_over(&incoming) {
                    Ok(length) => drop(incoming.drain(..length)),
                    Err(malformed) => return calls.refuse(&malformed),
                }
            }
            writable = line.writer.writable(), if is_behind => {
                if writable.and_then(|()| line.calls().write(&line.writer)).is_err() {
                    return;
                }
            }
            () = line.news.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use redis::IntoConnectionInfo as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A server to be, and how it is reached.
    async fn listener() -> (TcpListener, ConnectionInfo) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        (listener, url.into_connection_info().unwrap())
    }

    /// A connection to a server that reads one call, writes these pieces and then ends.
    async fn served(pieces: &'static [&'static str]) -> Direct {
        let (listener, server) = listener().await;
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
        Direct::connect(&server).await.unwrap()
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

    /// Far more than a socket takes at once.
    fn long() -> Cmd {
        let mut command = redis::cmd("ECHO");
        command.arg(vec![b'.'; 16 * 1024 * 1024]);
        command
    }

    /// A connection to a server that reads nothing until it is told to, then these commands, and then answers each by its
    /// place.
    async fn slow(commands: &[Cmd]) -> (Direct, oneshot::Sender<()>) {
        let commands: Vec<Vec<u8>> = commands.iter().map(Cmd::get_packed_command).collect();
        let (listener, server) = listener().await;
        let (begin, begins) = oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            begins.await.unwrap();
            for (place, command) in commands.into_iter().enumerate() {
                let mut read = vec![0; command.len()];
                stream.read_exact(&mut read).await.unwrap();
                assert!(read == command, "command {place} did not come as it was called");
                stream.write_all(format!(":{place}\r\n").as_bytes()).await.unwrap();
            }
        });
        (Direct::connect(&server).await.unwrap(), begin)
    }

    #[tokio::test]
    async fn what_a_socket_does_not_take_at_once_comes_before_what_is_called_after_it() {
        let (direct, begin) = slow(&[long(), ping()]).await;
        let (long, ping) = (long(), ping());
        let (first, second) = (direct.ask(&long), direct.ask(&ping));
        begin.send(()).unwrap();
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first.unwrap().unwrap(), second.unwrap().unwrap()), (Value::Int(0), Value::Int(1)));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_written_unless_it_was_begun() {
        let (direct, begin) = slow(&[long(), ping()]).await;
        let (begun, other, last) = (long(), redis::cmd("TIME"), ping());
        assert!(direct.ask(&begun).now_or_never().is_none(), "begun and then given up");
        assert!(direct.ask(&other).now_or_never().is_none(), "given up behind it");
        let answer = direct.ask(&last);
        begin.send(()).unwrap();
        assert_eq!(answer.await.unwrap().unwrap(), Value::Int(1));
    }

    #[tokio::test]
    async fn the_connection_ends_with_the_last_who_can_call() {
        let (listener, server) = listener().await;
        let direct = Direct::connect(&server).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(direct.clone());
        let end = async { stream.read(&mut [0; 8]).await.unwrap() };
        tokio::pin!(end);
        tokio::select! {
            biased;
            _ = &mut end => panic!("it ended before its last caller"),
            () = tokio::task::yield_now() => {}
        }
        drop(direct);
        assert_eq!(end.await, 0);
    }
}
