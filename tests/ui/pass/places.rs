//! A trait can stand wherever a trait can, with any visibility.

mod private {
    use pyproc::remote;

    #[remote]
    pub(crate) trait Inner: Send + Sync + 'static
    where
        Self: Sized,
    {
        async fn double(&self, value: u32) -> pyproc::Result<u32>;
    }

    pub mod deeper {
        #[pyproc::remote]
        pub(in crate::private) trait Deeper: std::fmt::Debug + Clone {
            async fn double(&self, value: u32) -> pyproc::Result<u32>;
        }
    }

    pub(super) fn _clients(pool: &pyproc::Pool) -> pyproc::Result<()> {
        let _: InnerClient = InnerClient::new(pool)?;
        let _: deeper::DeeperClient = deeper::DeeperClient::new(pool)?;
        Ok(())
    }
}

macro_rules! remote_trait {
    ($name:ident, $method:ident, $argument:ident: $type:ty) => {
        #[pyproc::remote]
        trait $name {
            async fn $method(&self, $argument: $type, other: $type) -> pyproc::Result<$type>;
        }
    };
}

remote_trait!(Written, negate, value: Vec<i64>);

struct Fake;

impl private::Inner for Fake {
    async fn double(&self, value: u32) -> pyproc::Result<u32> {
        Ok(2 * value)
    }
}

#[tokio::main]
async fn main() {
    use private::Inner;
    assert_eq!(Fake.double(21).await.unwrap(), 42);

    #[pyproc::remote]
    trait Local {
        async fn negate(&self, value: i64) -> pyproc::Result<i64>;
    }

    impl Local for Fake {
        async fn negate(&self, value: i64) -> pyproc::Result<i64> {
            Ok(-value)
        }
    }

    let _bind = |pool: &pyproc::Pool| LocalClient::new(pool).map(drop);
    let _bind = |pool: &pyproc::Pool| WrittenClient::new(pool).map(drop);
    assert_eq!(Fake.negate(42).await.unwrap(), -42);
}
