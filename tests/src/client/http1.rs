//! An HTTP/1.1 client that shows everything of an answer and sends whatever it is told to,
//! over any stream.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

/// Longest wait for anything of a connection.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection can be made of.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// What came behind the body.
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text without the space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    /// Status and text, as tables compare them.
    pub fn brief(&self) -> (u16, String) {
        (self.status, self.text())
    }
}

/// A request as bytes; with a length where there is a body.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        out.push_str("Host: lb\r\n");
    }
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        out.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    out.push_str("\r\n");
    [out.as_bytes(), body].concat()
}

/// A connection.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
}

impl Connection {
    /// Connects by TCP.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(connect(address)?))
    }

    /// Over a stream that is connected already.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)) }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).context("sending")
    }

    /// `GET path`.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.ask("GET", path, headers, b"")
    }

    /// A request and its answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        self.send(&request(method, path, headers, body))?;
        self.answer(method).with_context(|| format!("{method} {path}"))
    }

    /// The final answer to a request of this method; interim ones are read over.
    pub fn answer(&mut self, method: &str) -> Result<Answer> {
        loop {
            let mut answer = self.head()?;
            if answer.status == 101 || answer.status >= 200 {
                self.read_body(&mut answer, method)?;
                return Ok(answer);
            }
        }
    }

    /// The next head, an interim one too.
    pub fn head(&mut self) -> Result<Answer> {
        let line = self.line()?;
        ensure!(line.starts_with("HTTP/1.1 "), "no status line: {line:?}");
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("no status in {line:?}"))?;
        Ok(Answer { status, headers: self.fields()?, ..Answer::default() })
    }

    /// The next chunk of a chunked body; empty at its end.
    pub fn chunk(&mut self) -> Result<Vec<u8>> {
        let line = self.line()?;
        let Ok(size) = usize::from_str_radix(&line, 16) else { bail!("no size: {line:?}") };
        let chunk = self.bytes(size).with_context(|| format!("within a chunk of {size}"))?;
        if size > 0 {
            ensure!(self.line()?.is_empty(), "a chunk is longer than it said");
        }
        Ok(chunk)
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).context("reading to the end")?;
        Ok(bytes)
    }

    fn read_body(&mut self, answer: &mut Answer, method: &str) -> Result<()> {
        if method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
            return Ok(());
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let chunk = self.chunk()?;
                if chunk.is_empty() {
                    answer.trailers = self.fields()?;
                    return Ok(());
                }
                answer.body.extend(chunk);
            }
        }
        answer.body = match answer.header("content-length") {
            Some(length) => self.bytes(length.parse()?).context("reading the body")?,
            None => self.rest()?,
        };
        Ok(())
    }

    fn fields(&mut self) -> Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').with_context(|| format!("{line:?}"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the connection ended after {line:?}");
        Ok(line.trim_end().to_owned())
    }
}

/// A TCP connection that waits with patience.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
