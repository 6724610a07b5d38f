//! An HTTP server that plugins ask: it answers when the test says so, and not before.

use crate::PATIENCE;
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    time::Instant,
};

/// A server on a free port of 127.0.0.1, which listens as long as the test runs.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    asked: Mutex<Receiver<Question>>,
}

/// A request that waits for its answer. Dropped, it is cut off.
#[derive(Debug)]
pub struct Question {
    path: String,
    since: Instant,
    stream: TcpStream,
}

impl Backend {
    /// Starts it: nothing is answered but by [`Question::answer`].
    ///
    /// # Panics
    /// If there is no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (asks, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let asks = asks.clone();
                std::thread::spawn(move || {
                    // A connection that brings no request is no question.
                    let Some(question) = Question::read(stream) else { return };
                    // Nobody listens once the test is over.
                    let _ = asks.send(question);
                });
            }
        });
        Self { address, asked: Mutex::new(asked) }
    }

    /// `http://ADDRESS`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn asked(&self) -> Question {
        self.asked.lock().expect("no holder panics").recv_timeout(PATIENCE).expect("a plugin asks")
    }

    /// The next request, if it is here.
    ///
    /// # Panics
    /// If another thread has failed while it waited.
    pub fn asked_already(&self) -> Option<Question> {
        self.asked.lock().expect("no holder panics").try_recv().ok()
    }
}

impl Question {
    fn read(stream: TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        // GET has no body.
        lines.find(String::is_empty)?;
        Some(Self { path, since: Instant::now(), stream })
    }

    /// What is asked for: `/a/b`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// When it came.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Answers with a status and no body. False if nobody waits for it any more.
    pub fn answer(mut self, status: u16) -> bool {
        let head = format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        self.stream.write_all(head.as_bytes()).is_ok()
    }

    /// Waits until whoever asked has given up.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn given_up(mut self) {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{} is still waited for: {other:?}", self.path),
        }
    }

    /// Checks that it is still waited for.
    ///
    /// # Panics
    /// If whoever asked has given up.
    pub fn still_waited_for(&self) {
        self.stream.set_nonblocking(true).expect("a socket can be set so");
        let peeked = self.stream.peek(&mut [0; 1]);
        self.stream.set_nonblocking(false).expect("a socket can be set so");
        let waiting = matches!(&peeked, Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(waiting, "{} is not waited for any more: {peeked:?}", self.path);
    }
}
