//! Nothing in scope changes what the expansion means, and nothing in it is visible to the user.

#![allow(dead_code, nonstandard_style)]

mod shadowed {
    pub struct Option;
    pub struct Send;
    pub struct Sync;
    pub struct Future;
    pub struct Box;
    pub struct Clone;
    pub struct Debug;
    pub struct Duration;
    pub struct Remote;
    pub struct Interface;
    pub type Result<T> = ::std::result::Result<T, crate::Failure>;
    pub type String = ::std::string::String;

    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct C {
        value: u8,
    }
    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct Pool(u8);
    pub mod core {}
    pub mod std {}
    pub mod pyproc {}

    #[::pyproc::remote]
    pub trait r#Names {
        #[pyproc(deadline = "2min")]
        async fn r#type(&self, r#in: C, r#match: Pool) -> Result<C>;
        async fn locals(&self, self_: u8, remote: u8, pool: u8, C: u8, C_: C) -> Result<Pool>;
        async fn INTERFACE(&self, INTERFACE: &str) -> Result<String>;
        async fn call(&self, call: u8) -> Result<()>;
    }

    pub struct Fake;

    impl Names for Fake {
        async fn r#type(&self, r#in: C, _: Pool) -> Result<C> {
            Ok(r#in)
        }

        async fn locals(&self, _: u8, _: u8, _: u8, _: u8, C_: C) -> Result<Pool> {
            Ok(Pool(C_.value))
        }

        async fn INTERFACE(&self, INTERFACE: &str) -> Result<String> {
            Ok(INTERFACE.to_owned())
        }

        async fn call(&self, _: u8) -> Result<()> {
            Ok(())
        }
    }

    fn bind(pool: &::pyproc::Pool) -> Result<NamesClient> {
        Ok(NamesClient::new(pool)?)
    }
}

mod shadowed_object_safe {
    pub struct Option;
    pub struct Send;
    pub struct Sync;
    pub struct Future;
    pub struct Pin;
    pub struct C;
    pub type Result<T> = ::pyproc::Result<T>;

    #[::pyproc::remote(object_safe)]
    pub trait r#trait {
        async fn r#type(&self, self_: &str, r#in: &[u8]) -> Result<()>;
    }

    fn bind(pool: &::pyproc::Pool) -> Result<traitClient> {
        traitClient::new(pool)
    }
}

/// Any error will do that a `pyproc::Error` becomes.
#[derive(Debug)]
pub struct Failure;

impl From<pyproc::Error> for Failure {
    fn from(_: pyproc::Error) -> Self {
        Self
    }
}

#[tokio::main]
async fn main() {
    use shadowed::Names;
    assert_eq!(shadowed::Fake.INTERFACE("iris").await.unwrap(), "iris");
}
