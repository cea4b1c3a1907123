//! Every mistake in arguments and results is reported at once.

struct Flower {
    k: u32,
}

#[pyproc::remote]
trait Iris {
    async fn pattern(&self, Flower { k }: Flower) -> pyproc::Result<u32>;
    async fn tuple(&self, (a, b): (u32, u32), _: u32) -> pyproc::Result<u32>;
    async fn twice(&self, k: u32, k: u32) -> pyproc::Result<u32>;
    async fn anything(&self, value: impl Send, values: Vec<impl Send>) -> pyproc::Result<u32>;
    async fn out(&self, value: &mut u32, values: Option<&mut u32>) -> pyproc::Result<u32>;
    async fn own(&self, other: &Self) -> pyproc::Result<Self>;
    async fn attribute(&self, #[cfg(all())] value: u32) -> pyproc::Result<u32>;
    async fn borrowed(&self) -> pyproc::Result<Vec<&'static str>>;
    async fn some(&self) -> pyproc::Result<impl Send>;
    async fn seventeen(
        &self,
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
        m: u8,
        n: u8,
        o: u8,
        p: u8,
        q: u8,
    ) -> pyproc::Result<u8>;
}

fn main() {}
