//! Python functions that wait: two hundred calls at once in one worker, on its event loop.
//!
//! The service that they ask is part of this program, and takes 50 ms for each answer.
//!
//! ```sh
//! cargo run --release --example async_io
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::try_join_all;
use pyproc::{Pool, Stream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const PAGES: u32 = 200;
const TIME_PER_PAGE: Duration = Duration::from_millis(50);

/// An `async def` is one value, an async generator is a stream.
#[pyproc::remote]
trait Site {
    async fn fetch(&self, port: u16, page: u32) -> pyproc::Result<String>;
    fn fetch_all(&self, port: u16, pages: u32) -> impl Stream<Item = pyproc::Result<String>>;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(serve(listener));

    let pool = Pool::builder(pyproc::script!("examples/async_io.py"))
        .workers(1)
        .start()
        .await?;
    let site = SiteClient::new(&pool)?;

    let mut pages = std::pin::pin!(site.fetch_all(port, 10));
    while let Some(page) = pages.next().await {
        println!("as it comes: {}", page?);
    }

    let begin = Instant::now();
    let fetched = try_join_all((0..PAGES).map(|page| site.fetch(port, page))).await?;
    let elapsed = begin.elapsed();
    for (number, page) in fetched.iter().enumerate() {
        if *page != format!("page {number}") {
            return Err(format!("page {number} is `{page}`").into());
        }
    }
    let one_by_one = TIME_PER_PAGE * PAGES;
    if elapsed > one_by_one / 4 {
        return Err(format!("they have waited for each other: {elapsed:?}").into());
    }
    pool.shutdown().await?;
    println!(
        "{PAGES} calls of one worker waited 50 ms each, all of them together {} ms",
        elapsed.as_millis()
    );
    Ok(())
}

/// The slow service: a line with a number is answered by a line with a page, when it has slept over it.
async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(answer(connection));
    }
}

async fn answer(connection: TcpStream) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut number = String::new();
    connection.read_line(&mut number).await?;
    sleep(TIME_PER_PAGE).await;
    let page = format!("page {}\n", number.trim());
    connection.get_mut().write_all(page.as_bytes()).await
}
